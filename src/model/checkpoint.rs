//! [`Checkpoint`]: a training as it stands between two steps, from which another process goes on with the same bits.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Model,
    fit::Callbacks,
    history::{Epoch, Score},
    objective::{Objective, Sums},
};
use crate::{
    Error, Result, Scalar,
    callbacks::{CallbackState, Plan},
    formats::{
        archive::{Archive, Array},
        optimizer_state, weights,
    },
};

/// Where a training stands: before this step of this epoch.
pub(super) struct Point {
    pub epoch: usize,
    pub step: usize,
    /// Over the samples of the epoch so far.
    pub sums: Sums,
    /// What the epoch took so far.
    pub time: Duration,
    /// Whether a callback has stopped the training before: then no further step is taken.
    pub stopped: bool,
}

impl Point {
    pub fn new(epoch: usize, objective: &Objective, stopped: bool) -> Self {
        Point { epoch, step: 0, sums: objective.sums(), time: Duration::ZERO, stopped }
    }
}

/// What a training and the one that goes on with it must have in common, besides the model.
pub(super) struct Run<'a> {
    pub seed: u64,
    /// [`Source::describe`](super::source::Source::describe).
    pub data: String,
    pub objective: &'a Objective,
}

impl Run<'_> {
    /// In the words of an error.
    fn describe<T: Scalar>(&self, plan: &Plan, model: &Model<T>, callbacks: usize) -> [(&'static str, String); 7] {
        let optimizer = model.compiled("fit").map_or("none", |compiled| compiled.optimizer.name());
        [
            ("seed", self.seed.to_string()),
            ("data", self.data.clone()),
            ("steps of an epoch", plan.steps.map_or("unknown".to_owned(), |steps| steps.to_string())),
            ("figures", plan.monitors.join(", ")),
            ("optimizer", optimizer.to_owned()),
            ("callbacks", callbacks.to_string()),
            ("precision", size_of::<T>().to_string()),
        ]
    }
}

/// A training that was interrupted between two steps.
pub(crate) struct Checkpoint {
    path: PathBuf,
    archive: Archive,
}

/// The names of the arrays and strings.
const CALLBACKS: &str = "callbacks/";
const SUMS: &str = "fit/sums";
const TIME: &str = "fit/time";
const TRAIN: &str = "history/train";
const VALIDATION: &str = "history/validation";
const TIMES: &str = "history/time";
const COUNTS: [&str; 3] = ["epoch", "step", "stopped"];

/// All that a training consists of, between two steps.
pub(super) fn archive<T: Scalar>(
    run: &Run,
    plan: &Plan,
    model: &Model<T>,
    point: &Point,
    callbacks: &[CallbackState],
) -> Result<Archive, String> {
    let mut archive = Archive::default();
    weights::add_weights(model, &mut archive);
    let mut state = model.optimizer_state().expect("a model in training is compiled");
    // The epoch in which it goes on begins once more.
    state.epochs = state.epochs.saturating_sub(usize::from(point.step > 0));
    optimizer_state::add(state, &mut archive)?;
    let Archive { strings, arrays } = &mut archive;
    let counts = [point.epoch as u64, point.step as u64, point.stopped.into()];
    let described = run.describe(plan, model, callbacks.len()).map(|(name, value)| (name.to_owned(), value));
    strings.extend(described);
    strings.extend(COUNTS.into_iter().zip(counts).map(|(name, count)| (name.to_owned(), count.to_string())));
    for (i, callback) in callbacks.iter().enumerate() {
        for (name, values) in callback {
            arrays.insert(format!("{CALLBACKS}{i}/{name}"), Array::vector(values));
        }
    }
    let epochs = &model.history.epochs;
    let figures = |score: &Score| {
        [score.loss].into_iter().chain(score.metrics.iter().map(|(_, value)| *value)).collect::<Vec<_>>()
    };
    let train: Vec<f64> = epochs.iter().flat_map(|epoch| figures(&epoch.train)).collect();
    let validation: Vec<f64> = epochs.iter().filter_map(|epoch| epoch.validation.as_ref()).flat_map(figures).collect();
    let times: Vec<f64> = epochs.iter().map(|epoch| epoch.time.as_secs_f64()).collect();
    for (name, values) in [
        (SUMS, point.sums.numbers()),
        (TIME, vec![point.time.as_secs_f64()]),
        (TRAIN, train),
        (VALIDATION, validation),
        (TIMES, times),
    ] {
        arrays.insert(name.to_owned(), Array::vector(&values));
    }
    Ok(archive)
}

impl Checkpoint {
    /// Reads what [`archive`] made.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Checkpoint { path: path.to_owned(), archive: Archive::read(path)? })
    }

    /// Puts the model and the callbacks where the training stood, and says where that is.
    pub(super) fn restore<T: Scalar>(
        self,
        run: &Run,
        model: &mut Model<T>,
        callbacks: &mut Callbacks<T>,
    ) -> Result<Point> {
        for (name, now) in run.describe(&callbacks.plan, model, callbacks.count()) {
            let saved = self.archive.strings.get(name).map_or("none", |saved| saved);
            if saved != now {
                return Err(self.error(format!(
                    "it holds a training with the {name} {saved}, but this one has {now}; go on with the same arguments, or delete \
                     the file to begin anew"
                )));
            }
        }
        let [epoch, step, stopped] = self.counts()?;
        let begun = epoch + u64::from(step > 0);
        if begun > callbacks.plan.epochs as u64 {
            let asked = callbacks.plan.epochs;
            return Err(self.error(format!(
                "it holds a training that is in epoch {begun}, but this one ends after {asked}; ask for at least {begun} epochs, or delete the \
                 file to begin anew"
            )));
        }
        let params = weights::all(model.layout(), &self.archive).map_err(|message| self.error(message))?;
        let state = optimizer_state::read(model, &self.archive).map_err(|message| self.error(message))?;
        let mut point = Point::new(epoch as usize, run.objective, stopped != 0);
        point.step = step as usize;
        point.time = self.durations(TIME)?.first().copied().unwrap_or_default();
        let sums = self.values(SUMS)?;
        point.sums.set_numbers(&sums).ok_or_else(|| self.error(format!("{SUMS} has {} numbers", sums.len())))?;
        let history = self.history(run)?;

        model.set_optimizer_state(&state)?;
        model.set_params(&params);
        model.history.epochs = history;
        callbacks.stop = point.stopped;
        let states = self.callback_states(callbacks.count());
        let mut pairs = callbacks.states().into_iter().zip(&states).enumerate();
        if let Some((i, (now, saved))) = pairs.find(|(_, (now, saved))| !now.keys().eq(saved.keys())) {
            let [now, saved] = [&now, saved].map(|state| state.keys().cloned().collect::<Vec<_>>().join(", "));
            return Err(self.error(format!(
                "callback {i} has left [{saved}], but the one of this training has [{now}]; give the same callbacks in the same \
                 order, or delete the file to begin anew"
            )));
        }
        callbacks.set_states(model, &states)?;
        Ok(point)
    }

    fn counts(&self) -> Result<[u64; COUNTS.len()]> {
        let mut counts = [0; COUNTS.len()];
        for (count, name) in counts.iter_mut().zip(COUNTS) {
            *count = self.archive.count(name).map_err(|message| self.error(message))?;
        }
        Ok(counts)
    }

    fn history(&self, run: &Run) -> Result<Vec<Epoch>> {
        let names = run.objective.monitors(false);
        let score = |figures: &[f64]| Score {
            loss: figures[0],
            metrics: names[1..].iter().cloned().zip(figures[1..].iter().copied()).collect(),
        };
        let scores =
            |name| -> Result<Vec<Score>> { Ok(self.values(name)?.chunks_exact(names.len()).map(score).collect()) };
        let mut validation = scores(VALIDATION)?.into_iter();
        let epochs = scores(TRAIN)?.into_iter().zip(self.durations(TIMES)?);
        Ok(epochs.map(|(train, time)| Epoch { train, validation: validation.next(), time }).collect())
    }

    fn callback_states(&self, callbacks: usize) -> Vec<CallbackState> {
        let state = |i| {
            let prefix = format!("{CALLBACKS}{i}/");
            let own = self.archive.arrays.iter().filter_map(|(name, array)| Some((name.strip_prefix(&prefix)?, array)));
            own.map(|(name, array)| (name.to_owned(), array.values())).collect::<BTreeMap<_, _>>()
        };
        (0..callbacks).map(state).collect()
    }

    fn values<T: Scalar>(&self, name: &str) -> Result<Vec<T>> {
        let array = self.archive.array(name).map_err(|message| self.error(message))?;
        Ok(array.values())
    }

    fn durations(&self, name: &str) -> Result<Vec<Duration>> {
        let seconds = self.values::<f64>(name)?.into_iter();
        Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()).collect())
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::format(&self.path, message)
    }
}
