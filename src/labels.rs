//! [`Labels`]: the class of each sample.

/// The class of each sample, counted from 0: one byte a label up to 256 classes, four above.
///
/// ```
/// use cornu::Labels;
///
/// let labels = Labels::from(vec![7u8, 2, 1]);
/// assert_eq!((labels.len(), labels.get(0)), (3, Some(7)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels(Store);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Store {
    U8(Vec<u8>),
    U32(Vec<u32>),
}

impl Labels {
    /// The number of samples.
    pub fn len(&self) -> usize {
        match &self.0 {
            Store::U8(labels) => labels.len(),
            Store::U32(labels) => labels.len(),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The class of sample `i`.
    pub fn get(&self, i: usize) -> Option<usize> {
        match &self.0 {
            Store::U8(labels) => labels.get(i).map(|&label| label.into()),
            Store::U32(labels) => labels.get(i).map(|&label| label as usize),
        }
    }

    /// The classes in the order of the samples.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = usize> {
        (0..self.len()).map(|i| self.get(i).expect("i is below the length"))
    }
}

impl From<Vec<u8>> for Labels {
    fn from(labels: Vec<u8>) -> Self {
        Labels(Store::U8(labels))
    }
}

impl From<Vec<u32>> for Labels {
    fn from(labels: Vec<u32>) -> Self {
        Labels(Store::U32(labels))
    }
}
