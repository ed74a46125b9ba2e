#!/bin/sh
# convgrad train, predict and evaluate: the demonstration, equal files, kills and resumes, and bad input.
# usage: train_cli.sh PROGRAM [KILLS]     20 kills instead of 4 take half a minute more
set -u
program=$1 kills=${2:-4}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export OMP_WAIT_POLICY=passive
passed=0 failed=0

ok() { # WHAT STATUS
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $1"
    fi
}

same() { # WHAT FOLDER FOLDER: all files are equal, and there is no other
    [ "$(ls -A "$2" | tr '\n' ' ')" = 'best.safetensors checkpoint.safetensors history.csv report.html ' ]
    ok "$1: files of $2" $?
    for file in best.safetensors checkpoint.safetensors history.csv report.html; do
        cmp "$2/$file" "$3/$file"
        ok "$1: $file" $?
    done
}

wait_for() { # FILE, up to 5 seconds
    tries=0
    while [ ! -e "$1" ] && [ $tries -lt 100 ]; do
        tries=$((tries + 1))
        sleep 0.05
    done
}

says() { # STATUS WORDS COMMAND...: it fails with one sentence that has the words, and makes nothing
    want=$1 words=$2
    shift 2
    ls -AR >before
    "$program" "$@" >out 2>err
    status=$?
    ls -AR >after
    sed -i '/^\(before\|after\|out\|err\)$/d' before after
    [ $status = "$want" ] && [ "$(wc -l <err)" = 1 ] && grep -q '^convgrad: ' err && grep -qF -- "$words" err &&
        cmp -s before after
    good=$?
    ok "convgrad $*: status $status, $(cat err)" $good
}

# ---- the demonstration learns, with the same files for all threads, and for what memory allows ----
"$program" train --demo --threads 2 -o whole >out 2>err
ok "train --demo: $(cat err)" $?
[ ! -s err ]
ok "train --demo says $(cat err)" $?
tail -1 whole/history.csv | awk -F, '$1 == 12 && $7 > 0.93 { good = 1 } END { exit !good }'
ok "train --demo comes to $(tail -1 whole/history.csv)" $?
for options in '--threads 1' '--threads 3' '--threads 2 --memory 3000000'; do
    # shellcheck disable=SC2086
    "$program" train --demo $options -o other >out 2>err
    ok "train --demo $options: $(cat err)" $?
    same "$options" other whole
    rm -rf other
done
"$program" train --demo --epochs 1 >out 2>err && [ "$(ls -A | tr '\n' ' ')" = 'err out whole ' ]
ok 'train --demo without -o writes' $?

# Channels last between layers: other bits, the same for any number of threads, and its name in the file.
"$program" train --demo --epochs 1 --layout channels_last --threads 1 -o last >out 2>err &&
    "$program" train --demo --epochs 1 --layout channels_last --threads 2 -o other >out 2>err
ok "--layout channels_last: $(cat err)" $?
same '--layout channels_last' other last
grep -aq 'layout=channels_last' last/checkpoint.safetensors
ok 'a checkpoint names its layout' $?
rm -rf other last

# ---- killed at any moment and resumed, it is as if it had never stopped ----
"$program" train --demo --epochs 30 --every 5 -o long >out 2>err
ok "long: $(cat err)" $?
tries=0 killed=0
seed=$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')
while [ $tries -lt "$kills" ]; do
    tries=$((tries + 1))
    rm -rf kill
    seed=$(((seed * 4093 + 8191) % 65536))
    "$program" train --demo --epochs 30 --every 5 --threads $((1 + seed % 2)) -o kill >out 2>err &
    pid=$!
    sleep "$(awk "BEGIN { print 0.15 + $seed / 65536 }")"
    kill -KILL $pid 2>/dev/null && killed=$((killed + 1))
    wait $pid 2>/dev/null
    if [ -e kill/checkpoint.safetensors ]; then
        "$program" train --resume kill --threads $((2 - seed % 2)) >out 2>err
        ok "resume after a kill (seed $seed): $(cat err)" $?
        same "killed (seed $seed)" kill long
    fi
done
[ $killed != 0 ]
ok 'nothing was killed' $?

# A signal: the step is finished, the state saved, the exit status as shells know it.
signals='TERM 143'
if env --default-signal=INT true 2>/dev/null; then # what a shell starts behind itself ignores SIGINT
    signals="$signals INT 130"
else
    echo 'left out: SIGINT (needs env --default-signal)'
fi
# shellcheck disable=SC2086
set -- $signals
while [ $# -gt 0 ]; do
    rm -rf stop
    [ "$1" = INT ] && default='env --default-signal=INT' || default=
    $default "$program" train --demo --epochs 100 -o stop >out 2>err &
    pid=$!
    wait_for stop/best.safetensors
    kill "-$1" $pid
    wait $pid
    status=$?
    [ $status = "$2" ] && grep -q 'saved; go on with: convgrad train --resume stop' err && [ ! -e stop/.lock ] &&
        [ ! -e stop/checkpoint.safetensors.part ]
    ok "SIG$1: status $status, $(cat err)" $?
    shift 2
done

# Two trainings in one folder: the second is refused, the first goes on.
"$program" train --demo --epochs 40 -o lock >out 2>err &
pid=$!
wait_for lock/best.safetensors
"$program" train --resume lock >out2 2>err2
status=$?
grep -q "another training is writing there (process $pid)" err2 && [ $status = 2 ]
ok "a second training: status $status, $(cat err2)" $?
wait $pid
ok "the first training: $(cat err)" $?
rm -f out2 err2

# ---- files of a data set, predict, evaluate ----
bytes() { for number; do printf "\\$(printf %03o "$number")"; done; }
word() { bytes $(($1 >> 24 & 255)) $(($1 >> 16 & 255)) $(($1 >> 8 & 255)) $(($1 & 255)); }
{ bytes 0 0 8 3; word 8; word 4; word 4; seq 128 | while read -r n; do bytes $((n * 37 % 256)); done; } >x.idx
{ bytes 0 0 8 1; word 8; bytes 0 1 2 0 1 2 0 1; } >y.idx
printf 'input 1x4x4 scale=1/255\nconv 3 3x3\nrelu\nflatten\nlinear 3\ncross_entropy\n' >model.txt
"$program" train model.txt --data x.idx,y.idx --test x.idx,y.idx --batch 3 --epochs 4 --augment flip,crop=1 -o small >out 2>err
ok "train on IDX: $(cat err)" $?
grep -q '"picture": \[1, 4, 4\]' small/report.html && grep -q '"filter": \[1, 3, 3\]' small/report.html
ok 'the report has no pictures' $?
"$program" predict small x.idx --top 2 >text 2>err && [ "$(wc -l <text)" = 8 ] && grep -q '^7: ' text
ok "predict: $(cat err)" $?
"$program" predict small/best.safetensors x.idx --format json >json 2>err && [ "$(grep -c '"probability"' json)" = 8 ]
ok "predict --format json: $(cat err)" $?
"$program" evaluate small --data x.idx,y.idx >text 2>err && grep -q '^8 samples: loss ' text
ok "evaluate: $(cat err)" $?
"$program" train model.txt --data x.idx,y.idx --batch 3 --epochs 2 --schedule constant -o two >out 2>err &&
    "$program" train --resume two --epochs 4 >out 2>err &&
    "$program" train model.txt --data x.idx,y.idx --batch 3 --epochs 4 --schedule constant -o four >out 2>err &&
    cmp two/checkpoint.safetensors four/checkpoint.safetensors
ok "2 epochs, then 4: $(cat err)" $?
"$program" train model.txt --data x.idx,y.idx --epochs 1 --init small --batch 8 --freeze 0 -o again >out 2>err
ok "--init: $(cat err)" $?
if gzip -k x.idx 2>/dev/null; then
    "$program" predict small x.idx.gz --format json >other 2>err && cmp json other || grep -q 'has no zlib' err
    ok "predict of .gz: $(cat err)" $?
fi

# ---- bad input ----
cp x.idx short.idx; head -c 100 x.idx >short.idx
{ bytes 0 0 8 1; word 7; bytes 0 1 2 0 1 2 0; } >fewer.idx
{ bytes 0 0 8 1; word 8; bytes 0 1 2 0 1 2 0 3; } >beyond.idx
{ bytes 0 0 8 1; word 8; bytes 1 1 1 1 1 1 1 1; } >one.idx
{ bytes 0 0 8 1; word 8; bytes 0 1 2 0 1 2 0 2; } >other.idx
{ bytes 0 0 8 3; word 0; word 4; word 4; } >none.idx
{ bytes 0 0 13 3; word 8; word 4; word 4; } >floats.idx
printf 'PNG picture' >picture.png
head -c 5000 /dev/zero >odd.bin
: >empty.npy
npy() { # HEADER BYTES
    printf '\223NUMPY\001\000v\000%-117s\n' "$1"
    head -c "$2" /dev/zero
}
npy "{'descr': '<f4', 'fortran_order': True, 'shape': (8, 1, 4, 4), }" 512 >fortran.npy
npy "{'descr': '<f4', 'fortran_order': False, 'shape': (8,), }" 32 >flat.npy
npy "{'descr': '>f4', 'fortran_order': False, 'shape': (8, 1, 4, 4), }" 512 >big.npy
npy "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 1, 4, 4), }" 511 >cut.npy
npy "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 4, 4, 4), }" 0 >huge.npy
data() { says 2 "$1" train model.txt --data "$2" -o new; }
data 'labels are missing' x.idx
data 'none/x.idx: No such file' none/x.idx,y.idx
data 'short.idx: is truncated: has 84 of 128 data bytes' short.idx,y.idx
data 'fewer.idx: has 7 labels; x.idx has 8 images' x.idx,fewer.idx
data "beyond.idx: label 3 of sample 7; the model's classes are 0 to 2" x.idx,beyond.idx
data 'one.idx: all 8 labels are 1' x.idx,one.idx
data 'none.idx: has 0 images' none.idx,y.idx
data 'floats.idx: is IDX of type 0x0d' floats.idx,y.idx
data 'y.idx: has 1 axis: it looks like labels' y.idx,x.idx
data 'x.idx: has 3 axes; labels must have one: are these images?' x.idx,x.idx
data 'picture.png: is neither .npy nor IDX' picture.png,y.idx
data 'empty.npy: is too short' empty.npy,y.idx
data 'odd.bin: has 5000 bytes; CIFAR files have records of 3073 or 3074 bytes' odd.bin
data 'fortran.npy: is in Fortran order' fortran.npy,y.idx
data 'flat.npy: has 1 axis' flat.npy,y.idx
data "big.npy: its dtype is '>f4'" big.npy,y.idx
data 'cut.npy: is truncated: has 511 of 512 data bytes' cut.npy,y.idx
data 'huge.npy: its header tells of more than 2^60 elements' huge.npy,y.idx
data 'flat.npy: has numbers that are not whole; cross_entropy needs classes' x.idx,flat.npy

model() { # WORDS TEXT
    printf "$2" >bad.txt
    says 2 "$1" train bad.txt --data x.idx,y.idx -o new
}
model 'line 1' 'conv 3 3x3\ncross_entropy\n'
model 'line 2' 'input 1x4x4\nconvolve 3 3x3\nflatten\nlinear 3\ncross_entropy\n'
model 'line 2' 'input 1x4x4\nmaxpool 5\nflatten\nlinear 3\ncross_entropy\n'
model 'line 4' 'input 1x4x4\na = relu\nconv 2 3x3\nadd a\nflatten\nlinear 3\ncross_entropy\n'
model 'line 4' 'input 1x4x4\nflatten\ncross_entropy\ncross_entropy\n'
model 'line 2' 'input 1x4x4\nconv 10000000000 3x3\nflatten\nlinear 3\ncross_entropy\n'
model 'NUL' 'input 1x4x4\n\000flatten\nlinear 3\ncross_entropy\n'
model "has samples of 4x4; the model's input is 1x5x5" 'input 1x5x5\nflatten\nlinear 3\ncross_entropy\n'
model 'the model has 3 outputs' 'input 1x4x4\nflatten\nlinear 3\nmse\n'
says 2 'none.txt: No such file' train none.txt --data x.idx,y.idx -o new

option() { says 2 "$1" train model.txt --data x.idx,y.idx --batch 8 -o new "$2" "$3"; }
option '--epochs is "0"' --epochs 0
option '--learning-rate is "nan"' --learning-rate nan
option '--learning-rate is "-1"' --learning-rate -1
option 'momentum' --momentum 1
option '--optimizer is "adam"; must be one of: sgd adamw' --optimizer adam
option '--schedule is "linear"' --schedule linear
option '--augment is "turn"' --augment turn
option 'shard' --shard 1000
option '--layout is "last"' --layout last
option 'freeze' --freeze 99
option '--memory is 1000; this training needs at least' --memory 1000
option '--seed is "-1"' --seed -1
printf abc >three
option '--init: three: has 3 bytes' --init three
option 'none: No such file' --init none
says 2 '--batch is "0"' train model.txt --data x.idx,y.idx --batch 0 -o new
says 2 'batch' train model.txt --data x.idx,y.idx --batch 9 -o new
says 2 '-o is missing' train model.txt --data x.idx,y.idx
says 2 '--data is missing' train model.txt -o new
for launcher in PMI_SIZE OMPI_COMM_WORLD_SIZE; do
    export $launcher=4
    says 2 '4 ranks but this program has no MPI; use convgrad-mpi' train model.txt --data x.idx,y.idx -o new
    unset $launcher
done
says 2 'train takes one model; has 0' train --data x.idx,y.idx -o new
says 2 '-o: x.idx: is a file; must be a folder' train model.txt --data x.idx,y.idx --batch 8 -o x.idx
says 1 '-o: no/where: No such file' train model.txt --data x.idx,y.idx --batch 8 -o no/where
says 2 '-o: small: holds a training' train model.txt --data x.idx,y.idx --batch 8 -o small
says 2 'takes no --data' train --demo --data x.idx,y.idx
says 2 'do not go together' train --demo --resume small

resume() { says 2 "$1" train --resume small "$2" "$3"; }
resume '--batch is "4"; the checkpoint has' --batch 4
resume '--seed is "7"; the checkpoint has' --seed 7
resume '--learning-rate is "1"; the checkpoint has' --learning-rate 1
resume '--type is "f64"; the checkpoint has f32' --type f64
resume '--shard is "2"; the checkpoint has' --shard 2
resume '--layout is "channels_last"; the checkpoint has channels_first' --layout channels_last
resume '--freeze is "0"; the checkpoint has' --freeze 0
resume 'the cosine schedule of this training ends after 4 epochs' --epochs 9
resume '--data: x.idx is not what this training began with' --data x.idx,other.idx
resume "--test: x.idx is not what this training began with" --test x.idx,other.idx
says 2 '-o is "new"; --resume writes where the checkpoint is' train --resume small -o new
says 2 'takes no model; has "model.txt"' train model.txt --resume small
says 2 'nowhere/checkpoint.safetensors: No such file' train --resume nowhere
mkdir hurt
damage() { # WORDS: hurt/checkpoint.safetensors is refused
    says 2 "$1" train --resume hurt
    says 2 'hurt/checkpoint.safetensors' predict hurt x.idx
}
head -c 700 small/checkpoint.safetensors >hurt/checkpoint.safetensors
damage 'is no checkpoint of convgrad train, or is damaged'
sed 's/"recipe":"/"recip":"/' small/checkpoint.safetensors >hurt/checkpoint.safetensors
says 2 'damaged' train --resume hurt
rm -r hurt
says 2 'predict takes weights' predict small
says 2 'none: No such file' predict none x.idx
says 2 'y.idx: has 1 axis' predict small y.idx
says 2 '--format is "html"' predict small x.idx --format html
says 2 '--top is "0"' predict small x.idx --top 0
says 2 '--data is missing' evaluate small
says 2 'fewer.idx: has 7 labels' evaluate small --data x.idx,fewer.idx
says 2 'train does not take --top' train --demo --top 3

# ---- a full disk: nothing half written, and what was there stays ----
for most in 1 8 100; do # blocks of 512 bytes
    # shellcheck disable=SC3045
    (trap '' XFSZ; ulimit -f $most; "$program" train --demo -o full) >out 2>err
    status=$?
    [ $status = 1 ] && [ ! -e full ] && grep -q '^convgrad: full/' err
    ok "files of at most $most blocks: status $status, $(cat err), $(ls -A full 2>/dev/null)" $?
    rm -rf full
done
cp -r two full && cp -r two kept
# shellcheck disable=SC3045
(trap '' XFSZ; ulimit -f 1; "$program" train --resume full --epochs 9) >out 2>err
status=$?
[ $status = 1 ] && cmp full/checkpoint.safetensors kept/checkpoint.safetensors && [ ! -e full/checkpoint.safetensors.part ]
ok "a full disk on resume: status $status, $(cat err)" $?

echo "$passed checks passed, $failed failed"
[ $failed = 0 ]
