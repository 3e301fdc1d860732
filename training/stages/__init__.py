"""One module a stage. Stages do not import each other; `training.pipeline` composes them."""
