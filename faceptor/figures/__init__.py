"""What figures and overlays are drawn with: colours, panels, curves as data. No number that is trained or measured
depends on this room, so no training lists it in dvc.yaml."""
