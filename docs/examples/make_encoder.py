"""Make a file for `--encoder` of a network of Keras and its weights: `python make_encoder.py mobilenet_v2.keras`."""

import sys

import keras

pixels = keras.Input((224, 224, 3))  # 0 to 255, which is what a file gets
scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)  # -1 to 1, which is what MobileNetV2 wants
network = keras.applications.MobileNetV2(input_tensor=scaled, include_top=False, weights="imagenet")
keras.Model(pixels, network.outputs[0]).save(sys.argv[1])  # maps of 7 x 7 x 1280
