"""Negative controls: what is left of a model's answers when the picture is taken away, exchanged, or never looked at.

- :mod:`skinr1.controls.exchange` takes pictures away or gives every case another patient's.
- :mod:`skinr1.controls.blind` answers from the training labels, or from what is written about the patient.
- :mod:`skinr1.controls.asked` asks the model again, as its own answers were asked.
- :mod:`skinr1.controls.options` asks choice questions with the options in every place.
- :mod:`skinr1.controls.centres` and :mod:`skinr1.controls.vision` ask the vision tower for source and diagnosis.
- :mod:`skinr1.controls.rows` puts numbers on all of them, and :mod:`skinr1.controls.words` says what they mean.
"""
