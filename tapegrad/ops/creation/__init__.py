"""New tensors, their element types and their memory."""
