//! Questions that a person answers with a visible word.

use std::io::{BufRead as _, BufReader};

use rustix::termios::{QueueSelector, tcflush};

use super::Terminal;
use crate::process::say;
use crate::text::typed::looks_like_a_value;

impl Terminal {
    /// The line that answers a question; none where there is nobody to ask.
    async fn answer(&mut self, question: &str) -> Option<String> {
        self.restore();
        let reader = self.file().and_then(|file| file.try_clone()).ok()?;
        // A paste of several lines would answer it.
        let _ = tcflush(&reader, QueueSelector::IFlush);
        self.ask(question).ok()?;
        let read = move || {
            let mut line = String::new();
            BufReader::new(reader).read_line(&mut line).map(|_| line)
        };
        let line = tokio::task::spawn_blocking(read).await.ok()?.ok()?;
        self.asking = !line.ends_with('\n');
        (!line.is_empty()).then_some(line)
    }

    /// Asks a question; none where there is nobody to ask.
    pub(crate) async fn yes(&mut self, question: &str) -> Option<bool> {
        let answer = self.answer(&format!("{question} [y/N] ")).await?;
        Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Asks for one of some words, or their beginning, until one of them comes; none where there is nobody to ask.
    pub(crate) async fn one_of<'w>(&mut self, question: &str, words: &[&'w str]) -> Option<&'w str> {
        let mut asked = format!("{question} [{}] ", words.join("/"));
        loop {
            let typed = self.answer(&asked).await?;
            if looks_like_a_value(typed.trim()) {
                say(
                    "raxx: that looks like a value, and it is now visible: clear the screen. raxx prompts for the value later, without showing it",
                );
            }
            let answer = typed.trim().to_lowercase();
            let mut meant = words.iter().filter(|word| !answer.is_empty() && word.starts_with(&answer));
            if let (Some(word), None) = (meant.next(), meant.next()) {
                return Some(word);
            }
            asked = format!("Answer {}: ", words.join(" or "));
        }
    }
}
