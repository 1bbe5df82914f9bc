"""Paint a few strokes and watch a fully convolutional network learn, live."""
