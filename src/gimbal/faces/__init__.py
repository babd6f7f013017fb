"""How people and programs reach Gimbal: the server, the client SDK, the command line and foreign dialects."""
