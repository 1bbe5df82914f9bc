"""`python -m napari_fcn` is the command line."""

from napari_fcn.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
