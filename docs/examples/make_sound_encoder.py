"""Make a file for `--sound-encoder` of a network of spectrograms: `make_sound_encoder.py network.keras ear.keras`."""

import sys

import keras

network = keras.saving.load_model(sys.argv[1])  # (frames, bands) to (features,)
frames, bands = network.input_shape[1:3]
samples = keras.Input(((frames - 1) * 256,))  # at 16,000 a second: 16 milliseconds from frame to frame
mel = keras.layers.MelSpectrogram(fft_length=512, sequence_stride=256, sampling_rate=16_000, num_mel_bins=bands)
seen = keras.layers.Permute((2, 1))(mel(samples))  # decibels, as the network should have learned them
keras.Model(samples, network(seen)).save(sys.argv[2])
