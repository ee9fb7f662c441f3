//! What fit prints: a bar an epoch on a terminal, a line an epoch elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use super::history::{Epoch, History, Score};

/// Where and how fit reports.
pub(crate) struct Progress {
    style: Style,
    /// Whether the loss is drawn at the end.
    draws: bool,
    epochs: usize,
    /// The steps of an epoch, where they are known, and those of this one that are done.
    steps: Option<usize>,
    done: usize,
    /// Those that were done before the training was interrupted.
    done_before: usize,
    epoch_start: Instant,
}

enum Style {
    Silent,
    Line,
    #[cfg(feature = "progress")]
    Bar(Option<indicatif::ProgressBar>),
}

impl Progress {
    /// `verbose`: 0 prints nothing, 1 a bar where the output is a terminal, 2 lines.
    pub fn new(verbose: u8, epochs: usize, steps: Option<usize>) -> Self {
        let on_terminal = verbose == 1 && io::stdout().is_terminal();
        let style = match verbose {
            0 => Style::Silent,
            #[cfg(feature = "progress")]
            1 if on_terminal => Style::Bar(None),
            _ => Style::Line,
        };
        Progress { style, draws: on_terminal, epochs, steps, done: 0, done_before: 0, epoch_start: Instant::now() }
    }

    pub fn warn(&self, warning: &str) {
        if !matches!(self.style, Style::Silent) {
            // Nobody can be told when even this fails.
            let _ = writeln!(io::stderr(), "warning: {warning}");
        }
    }

    /// `done`: its steps that were done before the training was interrupted.
    pub fn epoch_begins(&mut self, epoch: usize, done: usize) {
        self.epoch_start = Instant::now();
        if self.done > 0 {
            // Where it is not known, an epoch can be expected to be as long as the one before.
            self.steps.get_or_insert(self.done);
        }
        (self.done, self.done_before) = (done, done);
        #[cfg(feature = "progress")]
        if let Style::Bar(bar) = &mut self.style {
            print(&format!("Epoch {}/{}", epoch + 1, self.epochs));
            let new = self::bar(self.steps);
            new.set_position(done as u64);
            *bar = Some(new);
        }
        #[cfg(not(feature = "progress"))]
        let _ = epoch;
    }

    /// `score` is asked for only when it is shown.
    pub fn step_done(&mut self, score: impl FnOnce() -> Score) {
        #[cfg(feature = "progress")]
        if let Style::Bar(Some(bar)) = &self.style {
            bar.set_position(self.done as u64 + 1);
            // A message costs more than a position; more often than this nobody can read it.
            if self.done.is_multiple_of((self.steps.unwrap_or(1000) / 100).max(1)) {
                let per_step = per_step(self.epoch_start.elapsed(), self.done + 1 - self.done_before);
                bar.set_message(format!("{per_step} - {}", score()));
            }
        }
        #[cfg(not(feature = "progress"))]
        let _ = score;
        self.done += 1;
    }

    pub fn epoch_ends(&mut self, epoch: usize, result: &Epoch) {
        let (seconds, done) = (result.time.as_secs_f64(), self.done);
        let train = format!("{} - {}", per_step(result.time, done), result.train);
        let validation = result.validation.as_ref().map(|score| format!("val_{score}").replace(" - ", " - val_"));
        match &mut self.style {
            Style::Silent => {}
            Style::Line => {
                let validation = validation.map_or_else(String::new, |validation| format!(" - {validation}"));
                print(&format!("Epoch {}/{} - {seconds:.1}s - {train}{validation}", epoch + 1, self.epochs));
            }
            #[cfg(feature = "progress")]
            Style::Bar(bar) => {
                if let Some(bar) = bar.take() {
                    bar.finish_and_clear();
                }
                let steps = self.steps.unwrap_or(done);
                // Not all of it in an epoch that was stopped.
                let bar = FULL.repeat(BAR_WIDTH.min(BAR_WIDTH * done / steps.max(1)));
                print(&format!("{done}/{steps} {bar} {seconds:.0}s {train}"));
                // A line of its own: beside the rest it would not fit in 80 columns.
                if let Some(validation) = validation {
                    print(&validation);
                }
            }
        }
    }

    /// Draws the loss, where there are enough epochs to see how it went.
    pub fn train_ends(&self, history: &History) {
        if self.draws && history.epochs.len() >= 3 {
            print(&format!("\n{}", history.curve()));
        }
    }
}

/// `8.4ms/step`, or `84us/step` for a small model.
fn per_step(time: Duration, steps: usize) -> String {
    let micros = time.as_secs_f64() * 1e6 / steps.max(1) as f64;
    if micros < 1e3 { format!("{micros:.0}us/step") } else { format!("{:.1}ms/step", micros / 1e3) }
}

/// Prints a line; a closed output ends no training.
fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

#[cfg(feature = "progress")]
const BAR_WIDTH: usize = 20;
#[cfg(feature = "progress")]
const FULL: &str = "━";

/// A bar that never wraps: what does not fit in the terminal's width is cut.
#[cfg(feature = "progress")]
fn bar(steps: Option<usize>) -> indicatif::ProgressBar {
    use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

    let bar = ProgressBar::with_draw_target(steps.map(|steps| steps as u64), ProgressDrawTarget::stdout());
    let template = match steps {
        Some(_) => format!("{{pos}}/{{len}} {{bar:{BAR_WIDTH}.green/dim}} {{eta}} {{wide_msg}}"),
        None => "{pos}/unknown {wide_msg}".to_owned(),
    };
    let style = ProgressStyle::with_template(&template).expect("the template is right");
    bar.set_style(style.progress_chars(&format!("{FULL}╸─")));
    bar
}

#[cfg(all(test, feature = "progress"))]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_a_length_where_there_is_one() {
        assert_eq!(bar(Some(7)).length(), Some(7));
        assert_eq!(bar(None).length(), None);
    }
}
