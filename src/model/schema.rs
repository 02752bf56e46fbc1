//! Structural schemas of custom resources: what is unknown, missing or of the wrong type, defaults, pruning. (being written)
