.DEFAULT_GOAL := help
.PHONY: help run test lint format bench docs docs-check coverage lock setup

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' Makefile | awk -F':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

run: ## set everything up and start the demo: real servers, watched
	./run

test: ## set everything up and run the tests
	./test

setup:
	@. deploy/setup.sh && setup

lint: setup ## format, ruff, mypy --strict, the arrows between the floors, shell scripts
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/shellcheck -x run test deploy/setup.sh .ci/run

format: setup ## format the code
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: setup ## the figures of docs/figures.md, measured here
	.venv/bin/python -m bench

docs: setup ## write the generated pages of docs/ anew
	.venv/bin/python -m docs.generate

coverage: setup ## play every scenario of the five systems, and write docs/coverage.md anew
	@rm -rf .venv/scenarios && mkdir .venv/scenarios
	SCENARIO_RECORDS=$$PWD/.venv/scenarios ./test tests/scenarios
	.venv/bin/python -m docs.coverage --write .venv/scenarios
	.venv/bin/python -m docs.generate

docs-check: setup ## docs/ agrees with the code
	.venv/bin/python -m docs.generate --check

COMPILE = VIRTUAL_ENV=$$PWD/.venv .venv/bin/uv pip compile pyproject.toml --extra speed --extra aws --universal \
	--generate-hashes --no-emit-index-url --no-header --upgrade -q

lock: ## resolve the dependencies anew: everything, and what the image needs
	$(COMPILE) --extra demo --extra apprise --group dev -o requirements.lock
	$(COMPILE) --constraint requirements.lock -o deploy/image.lock
