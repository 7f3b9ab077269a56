# The short names of what scripts/ does. No logic here.
.PHONY: run test check prepare openapi api memory bench bench-long grid-long crash-long model-long outage-long release-has-no-failpoints

run:     ## the whole system on this machine; ARGS="--help" tells what can be chosen
	@exec scripts/run $(ARGS)

test:    ## the whole suite; ARGS="alerts" runs what has this in its name
	@exec scripts/test $(ARGS)

check:   ## format, lints, documentation, query files, openapi.yaml and its promises, bans and licences
	@exec scripts/check

prepare: ## rewrite .sqlx after a change of a query or a migration
	@exec scripts/prepare

openapi: ## rewrite openapi.yaml after a change of a route; ACCEPT=breaking, if a client may no longer rely on something
	@ACCEPT="$(ACCEPT)" exec scripts/openapi

api:     ## the API's description against linters, generators and schemathesis
	@exec scripts/check-api

memory:  ## what the agent's release build holds at rest, and that it is at most 10 MB
	@exec scripts/agent-memory

bench:   ## how many checks a second, how late, at what cost: six minutes; ARGS="https --seconds 60" measures that
	@exec scripts/bench $(ARGS)

bench-long: ## all of it: about an hour
	@exec scripts/bench --long

grid-long: ## the simulation of the grid for an hour (1 s, 7 s) and for five days (5 min, a day): minutes
	@exec scripts/test --profile long --run-ignored only -E "test(/^engine::grid::/)"

crash-long: ## the tests of crashes, twenty times as long: about half an hour
	@exec env STALKER_TEST_LENGTH=20 scripts/test --profile long -E "test(/^crashes::/) | test(/same_host/)"

model-long: ## twenty times as many random stories against the reference of the rules: about half an hour
	@exec env STALKER_TEST_LENGTH=20 scripts/test --profile long -E "test(/^model::whatever/) | test(/^notifications::property/)"

outage-long: ## a provider that is down for an hour with 10,000 transitions: minutes
	@exec env STALKER_TEST_LENGTH=10 scripts/test --profile long -E "test(/^notifications::outage/)"

release-has-no-failpoints: ## looks into the release build of stalkerd, if there is one
	@exec scripts/release-has-no-failpoints
