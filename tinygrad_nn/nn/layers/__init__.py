"""The layers as modules: what each computes is said at its function, in the file of the same name in `functional`."""
