"""The tape: tensors, how operations are declared and recorded, and the engine that runs derivatives."""
