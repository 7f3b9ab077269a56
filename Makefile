# The short names of what scripts/ does. No logic here.
.PHONY: run test check prepare openapi

run:     ## the whole system on this machine; ARGS="--help" tells what can be chosen
	@exec scripts/run $(ARGS)

test:    ## the whole suite; ARGS="alerts" runs what has this in its name
	@exec scripts/test $(ARGS)

check:   ## format, lints, documentation, query files, openapi.yaml, bans and licences
	@exec scripts/check

prepare: ## rewrite .sqlx after a change of a query or a migration
	@exec scripts/prepare

openapi: ## rewrite openapi.yaml after a change of a route
	@exec scripts/openapi
