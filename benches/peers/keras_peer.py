"""Keras on TensorFlow in the comparison."""

import os

os.environ |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}

import keras
import measure
import numpy as np
import tensorflow as tf
from keras import layers


class Keras:
    setting = "an epoch and a prediction as tf.function without XLA, loss on logits"

    def __init__(self, train: measure.Split, test: measure.Split) -> None:
        self.x, self.x_test = tf.constant(train.images), tf.constant(test.images)
        self.y = tf.constant(train.labels.astype(np.int32))
        self.singles = [self.x_test[i : i + 1] for i in range(len(test.images))]
        self.model = network()
        self.optimizer = keras.optimizers.Adam()
        self.optimizer.build(self.model.trainable_variables)
        # Concrete functions spare each call the search for the graph that fits the arguments.
        self.epoch = tf.function(self.epoch).get_concrete_function(tf.TensorSpec([None], tf.int32))
        self.probabilities = tf.function(self.probabilities).get_concrete_function(tf.TensorSpec([None, 28, 28, 1]))

    def train(self, n: int, seed: int) -> None:
        keras.utils.set_random_seed(seed)
        self.model.set_weights(network().get_weights())
        for state in self.optimizer.variables:
            if state is not self.optimizer.learning_rate:
                state.assign(tf.zeros_like(state))
        self.epoch(tf.random.shuffle(tf.range(n)))

    def epoch(self, order: tf.Tensor) -> None:
        weights = self.model.trainable_variables
        for start in tf.range(0, len(order), measure.BATCH):
            batch = order[start : start + measure.BATCH]
            x, y = tf.gather(self.x, batch), tf.gather(self.y, batch)
            with tf.GradientTape() as tape:
                logits = self.model(x, training=True)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
            self.optimizer.apply(tape.gradient(loss, weights), weights)

    def probabilities(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(self.model(x, training=False))

    def predict_all(self) -> np.ndarray:
        starts = range(0, len(self.x_test), measure.PREDICTION_BATCH)
        batches = [self.probabilities(self.x_test[start : start + measure.PREDICTION_BATCH]) for start in starts]
        return tf.concat(batches, 0).numpy()

    def predict_one(self, i: int) -> np.ndarray:
        return self.probabilities(self.singles[i]).numpy()


def network() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


if __name__ == "__main__":
    measure.run(Keras)
