"""Images, labels and crops; knows no network and no window."""
