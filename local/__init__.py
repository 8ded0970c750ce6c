"""The docker-less stack behind `make run`: everything it runs is read from template.yaml."""
