"""From a picture to the network's input and back: geometry, crops, augmentation. Pure functions of arrays."""
