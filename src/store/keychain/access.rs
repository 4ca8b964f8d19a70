//! Decides from an item's access list whether `security` can read the item without a dialog.

use std::path::PathBuf;

use zeroize::Zeroizing;

/// The program that must be trusted.
const SECURITY: &[u8] = b"/usr/bin/security";

/// The partition to which macOS assigns `security`.
const PARTITION: &str = "apple-tool:";

/// Which programs an entry of an access list trusts.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) enum Readers {
    Everyone,
    /// The data of each trusted program: its path and a NUL.
    Only(Vec<Vec<u8>>),
}

/// The part of an item's access list that concerns reading.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Access {
    /// One for each entry that grants decryption of the value.
    pub readers: Vec<Readers>,
    /// The description of each partition entry: a property list in hex digits.
    pub partitions: Vec<String>,
    /// The file of the keychain that the item is in, if that keychain is locked.
    pub locked: Option<PathBuf>,
}

impl Access {
    /// Returns whether `security` can read the item without a dialog. Every entry must permit it: macOS can open a dialog
    /// for the first entry that does not.
    pub(crate) fn silent(&self) -> bool {
        self.locked.is_none()
            && !self.readers.is_empty()
            && self.readers.iter().all(Readers::trust_security)
            && self.partitions.iter().all(|description| has_our_partition(description))
    }
}

impl Readers {
    fn trust_security(&self) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(programs) => programs.iter().any(|data| data.split(|byte| *byte == 0).next() == Some(SECURITY)),
        }
    }
}

/// Returns whether this description, `{Partitions = (…)}` as an XML property list in hex digits, names the partition of
/// `security`. A description that cannot be parsed names none.
fn has_our_partition(description: &str) -> bool {
    let Some(bytes) = from_hex(description.trim().as_bytes()) else { return false };
    let Ok(list) = str::from_utf8(&bytes) else { return false };
    let Some((_, list)) = list.split_once("<key>Partitions</key>") else { return false };
    let Some((list, _)) = list.split_once("</array>") else { return false };
    list.split("<string>").skip(1).filter_map(|rest| rest.split_once("</string>")).any(|(name, _)| name == PARTITION)
}

/// Decodes pairs of hex digits.
pub(super) fn from_hex(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    // Allocated at its final size: a `Vec` that grows leaves unwiped copies.
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    for pair in digits.chunks(2) {
        bytes.push((digit(pair[0])? << 4) | digit(*pair.get(1)?)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(paths: &[&str]) -> Readers {
        Readers::Only(paths.iter().map(|path| format!("{path}\0").into_bytes()).collect())
    }

    fn hex(text: &str) -> String {
        text.bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    fn partitions(names: &[&str]) -> String {
        let names: String = names.iter().map(|name| format!("\t\t<string>{name}</string>\n")).collect();
        hex(&format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\">\n<dict>\n\t<key>Partitions</key>\n\
             \t<array>\n{names}\t</array>\n</dict>\n</plist>\n"
        ))
    }

    fn silent<const N: usize, const M: usize>(readers: [&Readers; N], partitions: [&String; M]) -> bool {
        let (readers, partitions) = (readers.map(Clone::clone).into(), partitions.map(Clone::clone).into());
        Access { readers, partitions, locked: None }.silent()
    }

    #[test]
    fn an_item_that_trusts_security_is_silent() {
        let ours = partitions(&["apple-tool:"]);
        for readers in [only(&["/usr/bin/security"]), only(&["/bin/bash", "/usr/bin/security"]), Readers::Everyone] {
            assert!(silent([&readers], [&ours]), "{readers:?}");
            // Items from before macOS 10.12 have no partitions.
            assert!(silent([&readers], []), "{readers:?}");
        }
        assert!(silent([&Readers::Only(vec![b"/usr/bin/security".into()])], []));
        let several = partitions(&["teamid:ABCDE12345", "apple-tool:", "apple:"]);
        assert!(silent([&only(&["/usr/bin/security"])], [&several.to_uppercase()]));
    }

    #[test]
    fn an_item_that_trusts_only_other_programs_is_not_silent() {
        let ours = partitions(&["apple-tool:"]);
        for readers in [
            only(&["/bin/bash"]),
            only(&[]),
            only(&["/usr/bin/security2"]),
            only(&["/tmp/usr/bin/security"]),
            only(&["\0/usr/bin/security"]),
        ] {
            assert!(!silent([&readers], [&ours]), "{readers:?}");
            assert!(!silent([&Readers::Everyone, &readers], [&ours]));
        }
        assert!(!silent([], [&ours]), "no entry grants reading");
    }

    #[test]
    fn an_item_in_another_partition_is_not_silent() {
        let readers = only(&["/usr/bin/security"]);
        let ours = partitions(&["apple-tool:"]);
        for description in [
            partitions(&[]),
            partitions(&["apple:"]),
            partitions(&["cdhash:0123456789abcdef"]),
            partitions(&["unsigned:", "teamid:apple-tool:"]),
            // Descriptions that cannot be parsed.
            String::new(),
            "raxx-heroku-api-key".into(),
            ours[..ours.len() - 1].into(),
            hex("bplist00\u{1}"),
            hex("<dict><key>Partitions</key><array><string>apple-tool:</string>"),
            hex("<dict><key>Other</key><array><string>apple-tool:</string></array></dict>"),
        ] {
            assert!(!silent([&readers], [&description]), "{description}");
            assert!(!silent([&readers], [&ours, &description]));
        }
    }

    #[test]
    fn an_item_in_a_locked_keychain_is_not_silent() {
        let access = Access { readers: vec![Readers::Everyone], ..Access::default() };
        assert!(access.silent());
        assert!(!Access { locked: Some("/Users/op/work.keychain-db".into()), ..access }.silent());
    }

    #[test]
    fn hex_digits_are_decoded_in_pairs() {
        let bytes = |digits: &str| from_hex(digits.as_bytes()).map(|bytes| bytes.to_vec());
        assert_eq!(bytes("00ffAb"), Some(vec![0, 255, 0xab]));
        assert_eq!(bytes(""), Some(vec![]));
        assert_eq!((bytes("abc"), bytes("zz"), bytes("é")), (None, None, None));
    }
}
