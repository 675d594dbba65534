"""Files and models: the model folder, published weights, where training starts."""
