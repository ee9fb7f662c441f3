//! What holds for the weights of every layer: regularizers, constraints, and what is frozen.

use cornu::{gradcheck, prelude::*};

fn image() -> Sequential {
    Sequential::new([5, 4, 2]).add(Conv2D::new(2, 1).named("before"))
}

fn rows() -> Sequential {
    Sequential::new([5, 4]).add(Dense::new(3).named("before"))
}

/// Models of a layer with weights, all of which start at -1 and must not be below 0, with the penalty at the start.
fn regularized() -> Vec<(Sequential, f64)> {
    let (start, limit) = (Initializer::Constant(-1.0), Constraint::non_neg);
    let [first, second, third] = [0.1, 0.2, 0.4].map(Regularizer::l2);
    let conv1d = Conv1D::new(2, 3)
        .kernel_initializer(start)
        .bias_initializer(start)
        .kernel_regularizer(first)
        .bias_regularizer(second)
        .kernel_constraint(limit())
        .bias_constraint(limit());
    let depthwise = DepthwiseConv2D::new(3)
        .depthwise_initializer(start)
        .bias_initializer(start)
        .depthwise_regularizer(first)
        .bias_regularizer(second)
        .depthwise_constraint(limit())
        .bias_constraint(limit());
    let separable = SeparableConv2D::new(3, 2)
        .depthwise_initializer(start)
        .pointwise_initializer(start)
        .bias_initializer(start)
        .depthwise_regularizer(first)
        .pointwise_regularizer(second)
        .bias_regularizer(third)
        .depthwise_constraint(limit())
        .pointwise_constraint(limit())
        .bias_constraint(limit());
    let transpose = Conv2DTranspose::new(3, 2)
        .kernel_initializer(start)
        .bias_initializer(start)
        .kernel_regularizer(first)
        .bias_regularizer(second)
        .kernel_constraint(limit())
        .bias_constraint(limit());
    let batch = BatchNormalization::new()
        .gamma_initializer(start)
        .beta_initializer(start)
        .gamma_regularizer(first)
        .beta_regularizer(second)
        .gamma_constraint(limit())
        .beta_constraint(limit());
    let row = LayerNormalization::new()
        .gamma_initializer(start)
        .beta_initializer(start)
        .gamma_regularizer(first)
        .beta_regularizer(second)
        .gamma_constraint(limit())
        .beta_constraint(limit());
    let prelu = PReLU::new().alpha_initializer(start).alpha_regularizer(first).alpha_constraint(limit());
    let embedding =
        Embedding::new(7, 2).embeddings_initializer(start).embeddings_regularizer(first).embeddings_constraint(limit());
    vec![
        (rows().add(conv1d.named("layer")), 0.1 * 18.0 + 0.2 * 2.0),
        (image().add(depthwise.named("layer")), 0.1 * 18.0 + 0.2 * 2.0),
        (image().add(separable.named("layer")), 0.1 * 8.0 + 0.2 * 6.0 + 0.4 * 3.0),
        (image().add(transpose.named("layer")), 0.1 * 24.0 + 0.2 * 3.0),
        (image().add(batch.named("layer")), 0.1 * 2.0 + 0.2 * 2.0),
        (rows().add(row.named("layer")), 0.1 * 3.0 + 0.2 * 3.0),
        (rows().add(prelu.named("layer")), 0.1 * 15.0),
        (Sequential::new([5, 4]).add(embedding.named("layer")), 0.1 * 14.0),
    ]
}

/// The model, ready for training, with samples that are indices, too, and targets.
fn compiled(plan: &Sequential) -> (Model<f64>, Tensor<f64>, Tensor<f64>) {
    let mut model = plan.clone().build_as::<f64>().unwrap();
    model.compile(SGD::new(1e-3), MeanSquaredError, []).unwrap();
    let input = model.input_shape();
    let mut x = Tensor::zeros(input.batch(3));
    x.data_mut().iter_mut().enumerate().for_each(|(i, x)| *x = (i * i % 7) as f64);
    let y = Tensor::random_normal(model.output_shape().batch(3), 0.0, 1.0, 1);
    (model, x, y)
}

#[test]
fn penalties_are_part_of_the_loss_and_its_gradient() {
    for (plan, penalty) in regularized() {
        let (mut model, x, y) = compiled(&plan);
        let report = gradcheck::check_model(&model, &x, &y).unwrap();
        assert!(report.max_relative_error < 1e-6, "{plan:?}: {report}");

        let with = model.evaluate(&x, &y).unwrap().loss;
        model.set_trainable("layer", false).unwrap();
        let without = model.evaluate(&x, &y).unwrap().loss;
        approx::assert_relative_eq!(with - without, penalty, max_relative = 1e-9);
    }
}

#[test]
fn constraints_hold_after_a_step() {
    for (plan, _) in regularized() {
        let (mut model, x, y) = compiled(&plan);
        model.fit(&x, &y, Fit::new().verbose(0)).unwrap();
        let weights = model.get_weights();
        for (info, weight) in model.layout().infos().iter().zip(weights).filter(|(info, _)| info.trainable) {
            let constrained = info.name.starts_with("layer/");
            assert_eq!(weight.data().iter().all(|&w| w == 0.0), constrained, "{}", info.name);
        }
    }
}

#[test]
fn a_frozen_layer_computes_no_gradient_to_its_weights_and_the_same_to_its_input() {
    let others = [image().add(Conv2D::new(2, 2).named("layer")), rows().add(Dense::new(2).named("layer"))];
    for plan in regularized().into_iter().map(|(plan, _)| plan).chain(others) {
        let (mut model, x, y) = compiled(&plan);
        // Batch normalization computes otherwise when it is frozen.
        let same = model.layout().infos().iter().all(|info| info.trainable);
        let (_, thawed) = model.gradients(&x, &y).unwrap();
        model.set_trainable("layer", false).unwrap();
        let (_, frozen) = model.gradients(&x, &y).unwrap();
        let infos = model.layout().infos().iter().zip(thawed.into_iter().zip(frozen));
        for (info, (thawed, frozen)) in infos.filter(|(info, _)| info.trainable) {
            if info.name.starts_with("layer/") {
                assert!(frozen.data().iter().all(|&gradient| gradient == 0.0), "{}", info.name);
                assert!(thawed.data().iter().any(|&gradient| gradient != 0.0), "{}", info.name);
            } else if same {
                assert_eq!(thawed, frozen, "{plan:?}: {}", info.name);
            }
        }
    }
}
