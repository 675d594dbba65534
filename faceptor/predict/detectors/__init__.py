"""Ways to find faces: CenterFace, which comes with the package, and YuNet, SCRFD and RetinaFace for files at hand."""
