#!/bin/sh
# convgrad-mpi train: the files of one process, to the bit, for ranks and threads; ranks that die, stop, or differ.
# usage: train_mpi.sh PROGRAM MPI_PROGRAM [LAUNCHER]     LAUNCHER: if none of the usual names is there
set -u
program=$1 mpi=$2
if [ ! -x "$mpi" ]; then
    echo 'skipped: there was no MPI when this was configured'
    exit 77
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export OMP_WAIT_POLICY=passive
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
passed=0 failed=0

ok() { # WHAT STATUS
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $launcher: $1"
    fi
}

same() { # WHAT FOLDER: the files of the folder "alone", and no other
    [ "$(ls -A "$2" | tr '\n' ' ')" = 'best.safetensors checkpoint.safetensors history.csv report.html ' ]
    ok "$1: files: $(ls -A "$2" | tr '\n' ' ')" $?
    for file in best.safetensors checkpoint.safetensors history.csv report.html; do
        cmp "$2/$file" "alone/$file"
        ok "$1: $file" $?
    done
    rm -rf "$2"
}

wait_for() { # FILE, up to 20 seconds
    tries=0
    while [ ! -e "$1" ] && [ $tries -lt 200 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
}

start() { # RANKS ARGUMENTS...: in the background; the process numbers are in files pid.RANK
    ranks=$1
    shift
    rm -f pid.*
    # shellcheck disable=SC2016,SC2086
    $launcher -n "$ranks" sh -c 'echo $$ >pid.${PMI_RANK:-$OMPI_COMM_WORLD_RANK}; exec "$0" "$@"' "$mpi" "$@" \
        >out 2>err </dev/null &
    job=$!
}

finish() { # waits for the job, up to 10 seconds
    tries=0
    while kill -0 $job 2>/dev/null && [ $tries -lt 100 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    [ $tries -lt 100 ]
    ok "the job has not ended in 10 seconds" $?
    wait $job
    status=$?
    for pid in $(cat pid.*); do
        ! grep -q '^[^)]*) [^Z]' "/proc/$pid/stat" 2>/dev/null # a zombie is dead
        ok "process $pid is still there" $?
    done
}

says() { # WORDS: the job that just ran failed, with one line of the program that has the words
    good=1
    [ "$status" != 0 ] && [ "$(grep -c '^convgrad: ' err)" = 1 ] && grep -qF -- "$1" err && good=0
    ok "status $status, instead of \"$1\": $(grep '^convgrad' err || cat err)" $good
}

differ() { # WORDS "OPTIONS" "ENVIRONMENT": rank 1 has other options and environment, which is said; nothing is made
    # shellcheck disable=SC2086
    $launcher -n 1 "$mpi" train model.txt --data x.npy,y.npy -o new : \
        -n 1 env $3 "$mpi" train model.txt ${2:---data x.npy,y.npy} -o new >out 2>err </dev/null
    status=$?
    says "$1"
    [ ! -e new ]
    ok "a folder of ranks that differ" $?
}

check_launcher() {
    for ranks in 1 2 3 4; do
        for threads in 1 2; do
            # shellcheck disable=SC2086
            $launcher -n $ranks "$mpi" train --demo --epochs 1 --threads $threads -o many >out 2>err </dev/null
            ok "$ranks ranks of $threads: $(cat err)" $?
            cmp one/checkpoint.safetensors many/checkpoint.safetensors && cmp one/best.safetensors many/best.safetensors &&
                cmp one/history.csv many/history.csv && cmp one/report.html many/report.html
            ok "$ranks ranks of $threads: other files than alone" $?
            [ $ranks = 1 ] || grep -q "^$ranks ranks: a rank runs up to .* MB and receives .* MB in .* calls$" out
            ok "$ranks ranks: what a step costs: $(cat out)" $?
            rm -rf many
        done
    done
    # Instruction sets, one on each rank.
    sets=
    for set in avx512 avx2 fma neon; do
        CVG_ISA=$set "$program" info >/dev/null 2>&1 && sets="$sets $set"
    done
    command=
    for set in $sets; do
        command="$command : -n 1 env CVG_ISA=$set $mpi train --demo --epochs 1 --threads 1 -o many"
    done
    if [ -n "$command" ]; then
        # shellcheck disable=SC2086
        $launcher ${command# : } >out 2>err </dev/null
        ok "ranks of$sets: $(cat err)" $?
        cmp one/checkpoint.safetensors many/checkpoint.safetensors
        ok "ranks of$sets: other files than alone" $?
        rm -rf many
    fi

    # A rank is killed: the job ends, says how to go on, and other ranks do.
    for victim in 0 1; do
        rm -rf kill
        start 3 train --demo --epochs 4 --threads 1 --every 5 -o kill
        wait_for kill/best.safetensors
        kill -KILL "$(cat pid.$victim)"
        finish
        grep -q "resume with: mpirun -n 3 convgrad-mpi train --resume kill$" err && [ $status != 0 ]
        ok "rank $victim was killed: status $status, $(cat err)" $?
        # shellcheck disable=SC2086
        $launcher -n $((2 + 2 * victim)) "$mpi" train --resume kill --threads 2 >out 2>err </dev/null
        ok "resume after a kill: $(cat err)" $?
        rm -f kill/checkpoint.safetensors.part
        same "rank $victim was killed" kill
    done

    # A signal to one rank: all finish the step, it is saved.
    start 3 train --demo --epochs 4 --threads 1 --every 5 -o stop
    wait_for stop/best.safetensors
    kill -TERM "$(cat pid.2)"
    finish
    grep -q '^convgrad: stopped after step [0-9]*, saved$' err && [ $status = 143 ] && [ ! -e stop/.lock ]
    ok "SIGTERM: status $status, $(cat err)" $?
    "$program" train --resume stop >out 2>err
    ok "resume after SIGTERM: $(cat err)" $?
    same 'SIGTERM' stop

    # Ranks that differ, and mistakes: one sentence.
    differ 'rank 1 has data ' '--data x.npy,z.npy' 'A=1'
    differ 'rank 1 has seed=2; rank 0 has seed=1: ranks must not differ' '--data x.npy,y.npy --seed 2' 'A=1'
    differ 'rank 1 has --every 3; rank 0 has --every 0' '--data x.npy,y.npy --every 3' 'A=1'
    differ 'rank 1: none: No such file' '--data none,y.npy' 'A=1'
    if "$program" info 2>&1 | grep -q avx; then
        differ 'rank 1 has fused multiply-add no; rank 0 has fused multiply-add yes' '' 'CVG_ISA=portable'
    fi
    for command in 'train --demo --epochs 0' 'info'; do
        # shellcheck disable=SC2086
        $launcher -n 3 "$mpi" $command >out 2>err </dev/null
        status=$?
        says "$([ "$command" = info ] && echo 'info runs in one process; there are 3 ranks' || echo '--epochs is "0"')"
    done
    # shellcheck disable=SC2086
    $launcher -n 2 "$program" train --demo -o new >out 2>err </dev/null
    status=$?
    grep -q '^convgrad: 2 ranks but this program has no MPI; use convgrad-mpi$' err && [ $status != 0 ] && [ ! -e new ]
    ok "convgrad under a launcher: $(cat err)" $?
    # shellcheck disable=SC2086
    $launcher -n 3 "$mpi" evaluate one --data x16.npy,y.npy >out 2>err </dev/null
    "$program" evaluate one --data x16.npy,y.npy >want 2>>err
    cmp out want
    ok "evaluate: $(cat err)" $?
}

npy() { # DESCR SHAPE BYTES: numbers that repeat
    printf '\223NUMPY\001\000v\000%-117s\n' "{'descr': '$1', 'fortran_order': False, 'shape': $2, }"
    i=0
    while [ $i -lt "$3" ]; do
        printf "\\$(printf %03o $((i * $4 % $5)))"
        i=$((i + 1))
    done
}
npy '|u1' '(8, 1, 4, 4)' 128 37 256 >x.npy
npy '|u1' '(8, 1, 16, 16)' 2048 37 256 >x16.npy
npy '|u1' '(8,)' 8 1 3 >y.npy
npy '|u1' '(8,)' 8 2 3 >z.npy
printf 'input 1x4x4 scale=1/255\nconv 3 3x3\nrelu\nflatten\nlinear 3\ncross_entropy\n' >model.txt
launcher=alone
"$program" train --demo --epochs 1 -o one >out 2>err
ok "alone: $(cat err)" $?
"$program" train --demo --epochs 4 --every 5 -o alone >out 2>err
ok "alone: $(cat err)" $?

# The launchers of the MPI that the program was linked with.
if ldd "$mpi" | grep -q mpich; then
    names='mpiexec.hydra mpiexec.mpich' options='-bind-to none'
else
    names='mpirun.openmpi orterun' options='--oversubscribe --bind-to none'
fi
seen=
for name in $names ${3:-}; do
    path=$(readlink -f "$(command -v "$name")") || continue
    case "$seen" in *" $path "*) continue ;; esac
    [ -n "$seen" ] && [ "$name" = "${3:-}" ] && continue # that one may be of another MPI
    seen="$seen $path "
    launcher="$name $options"
    check_launcher
done
if [ -z "$seen" ]; then
    echo "skipped: there is no launcher for $mpi"
    exit 77
fi
sha256sum one/checkpoint.safetensors | sed 's/ .*/ is the SHA-256 of checkpoint.safetensors/'
echo "$passed checks passed, $failed failed"
[ $failed = 0 ]
