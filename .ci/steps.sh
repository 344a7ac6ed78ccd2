# shellcheck shell=bash
# Sourced by the scripts beside it: names each step, and at the end prints the seconds that each took.

steps=()

# step NAME: begins the next step.
step() {
  steps+=("$SECONDS $*")
  printf '\n== %s\n' "$*"
}

seconds_of_each_step() {
  local begun ended=$SECONDS at
  printf '\n== seconds of each step\n'
  for ((at = ${#steps[@]} - 1; at >= 0; at--)); do
    begun=${steps[at]%% *}
    steps[at]="$((ended - begun)) ${steps[at]#* }"
    ended=$begun
  done
  printf '%s\n' "${steps[@]}" "$SECONDS in all"
}
trap seconds_of_each_step EXIT
