//! Questions with a visible answer.

use std::io::{BufRead as _, BufReader};

use rustix::termios::{QueueSelector, tcflush};

use super::Terminal;
use crate::process::say;
use crate::text::typed::looks_like_a_value;

impl Terminal {
    /// Asks a question and returns the line typed; `None` without a terminal.
    async fn answer(&mut self, question: &str) -> Option<String> {
        self.restore();
        let reader = self.file().and_then(|file| file.try_clone()).ok()?;
        // Otherwise the rest of a multi-line paste would answer it.
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

    /// Asks a yes/no question; `None` without a terminal.
    pub(crate) async fn yes(&mut self, question: &str) -> Option<bool> {
        let answer = self.answer(&format!("{question} [y/N] ")).await?;
        Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Asks for one of several words, or a unique prefix of one, until the answer matches; `None` without a terminal.
    pub(crate) async fn one_of<'w>(&mut self, question: &str, words: &[&'w str]) -> Option<&'w str> {
        let mut prompt = format!("{question} [{}] ", words.join("/"));
        loop {
            let typed = self.answer(&prompt).await?;
            if looks_like_a_value(typed.trim()) {
                say(
                    "raxx: that looks like a value, and it is now visible: clear the screen. raxx prompts for the value later, without showing it",
                );
            }
            let answer = typed.trim().to_lowercase();
            let mut matches = words.iter().filter(|word| !answer.is_empty() && word.starts_with(&answer));
            if let (Some(word), None) = (matches.next(), matches.next()) {
                return Some(word);
            }
            prompt = format!("Answer {}: ", words.join(" or "));
        }
    }
}
