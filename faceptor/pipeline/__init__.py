"""What the stages of dvc.yaml do: read params.yaml and declared inputs, call the library, write declared outputs."""
