"""How the weights that the package ships were learned, from generated images only.

``python -m pretraining --out FILE`` makes a bank of generated scenes (`scenes`,
`rendering`), draws tasks of few strokes from it (`episodes`), and teaches a network to
solve them (`learner`). The settings, scores and limits are in docs/shipped-weights.md.
"""
