//! The data sets of the checkout, as users load them.

use cornu::datasets::{Split, mnist};

#[test]
fn mnist_is_whole() {
    let (train, test) = mnist::load().unwrap();
    assert_eq!(train.images.shape(), [60000, 28, 28, 1].into());
    assert_eq!(test.images.shape(), [10000, 28, 28, 1].into());

    assert_eq!(train.labels.iter().take(5).collect::<Vec<_>>(), [5, 0, 4, 1, 9]);
    assert_eq!(test.labels.iter().take(5).collect::<Vec<_>>(), [7, 2, 1, 0, 4]);
    assert_eq!(samples_per_class(&train), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    assert_eq!(samples_per_class(&test), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);

    // The mean by which everybody normalizes MNIST.
    let sum: u64 = train.images.data().iter().map(|&pixel| u64::from(pixel)).sum();
    let mean = sum as f64 / (60000.0 * 28.0 * 28.0) / 255.0;
    assert_eq!(format!("{mean:.4}"), "0.1307");
}

fn samples_per_class(split: &Split) -> [usize; 10] {
    let mut count = [0; 10];
    for label in split.labels.iter() {
        count[label] += 1;
    }
    count
}
