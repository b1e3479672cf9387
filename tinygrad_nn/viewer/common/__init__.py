"""What the readers that tell people of a recording share: names, formulas, values, module calls.

`names` finds the user's names, `formulas` writes operations as mathematics, `values` says what a value is in few words,
`calls` finds the module calls, and `recording` puts them together for the graph of one Tensor.
"""
