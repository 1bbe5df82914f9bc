"""Training, prediction and what they tell; knows no window."""
