"""A telephone network and a voice vendor that run on one machine: phone, simulator, voices, dialogue."""
