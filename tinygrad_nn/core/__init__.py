"""What an operation is, how a call records it, and how gradients flow back; no operation in particular."""
