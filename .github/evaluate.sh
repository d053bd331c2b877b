#!/usr/bin/env bash
# The step "Evaluate" of action.yml. On the main branch it saves the run that pull requests are compared with.
# Reads COLLECTION, SYSTEM, BASELINE, ARGUMENTS and MAIN_BRANCH; writes the outputs exit-code, summary and saved.
set -euo pipefail
run=.runoff/main.run
summary=${RUNNER_TEMP:-/tmp}/runoff-summary.md
mkdir -p .runoff
read -ra more <<< "${ARGUMENTS:-}"
command=(runoff evaluate "$COLLECTION" --system "$SYSTEM" --markdown "${more[@]}")
on_main=$([[ ${GITHUB_REF:-} == "refs/heads/${MAIN_BRANCH:-main}" ]] && echo yes || true)
baseline=${BASELINE:-}
if [[ -n $on_main ]]; then
    command+=(--save-run "$run.new")
elif [[ -z $baseline && -f $run ]]; then
    baseline=$run
fi
if [[ -z $on_main && -n $baseline ]]; then
    command+=(--baseline "$baseline" --fail-on-harm)
fi
code=0
"${command[@]}" > "$summary" || code=$?
# 3 is proven harm; all else but 0 is an error
[[ $code == 0 || $code == 3 ]] || exit "$code"
[[ -z $on_main ]] || mv "$run.new" "$run"
if [[ -z $on_main && -z $baseline ]]; then
    printf '\nThere is no run of the main branch yet: this is what the system does by itself.\n' >> "$summary"
fi
cat "$summary" >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
{ echo "exit-code=$code"; echo "summary=$summary"; echo "saved=${on_main:-no}"; } >> "${GITHUB_OUTPUT:-/dev/stdout}"
