"""Does the model know how sure it is: reliability, temperature, selective answers, conformal sets, back-off."""
