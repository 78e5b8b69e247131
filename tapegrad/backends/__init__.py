"""The devices: arrays in, arrays out; no Tensor."""
