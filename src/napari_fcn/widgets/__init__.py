"""The window: docks that bind controls to the workbench, and the layers they own."""
