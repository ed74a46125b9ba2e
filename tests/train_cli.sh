#!/bin/sh
# train, predict and evaluate as a user drives them.   usage: train_cli.sh PROGRAM [KILLS]
# A training that is killed KILLS times and resumed (2 if not given) must end in the same file, to the bit.
set -u
program=$1 kills=${2:-2}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0

result() { # GOOD(0/1) WHAT
    if [ "$1" = 1 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $2"
        sed 's/^/    out: /' out | head -5
        sed 's/^/    err: /' err | head -5
    fi
}

good() { # ARGUMENT...: exits 0 and complains of nothing
    "$program" "$@" >out 2>err
    [ $? = 0 ] && [ ! -s err ] && result 1 || result 0 "convgrad $*"
}

bad() { # WORDS ARGUMENT...: exits 2 with one line that holds the words, and leaves no folder
    words=$1
    shift
    "$program" "$@" >out 2>err
    status=$?
    if [ $status = 2 ] && [ ! -s out ] && [ "$(wc -l <err)" = 1 ] && grep -q '^convgrad: ' err &&
        grep -qF -- "$words" err && [ ! -e new ]; then
        result 1
    else
        result 0 "convgrad $* (exit $status, must be 2 with \"$words\")"
    fi
    rm -rf new
}

same() { # FILE FILE WHAT
    cmp "$1" "$2" >out 2>err && result 1 || result 0 "$3"
}

has() { # WORDS FILE WHAT
    grep -q -- "$1" "$2" && result 1 || result 0 "$3"
}

# The demonstration: files, and the same ones for any number of threads.
good train --demo
good train --demo -o demo --threads 2
for file in checkpoint.safetensors best.safetensors history.csv report.html; do
    [ -s demo/$file ] && result 1 || result 0 "train -o leaves $file"
done
[ "$(wc -l <demo/history.csv)" = 13 ] && result 1 || result 0 'history has a row for each epoch'
for threads in 1 3 7; do
    good train --demo -o "demo$threads" --threads $threads
    same demo/checkpoint.safetensors demo$threads/checkpoint.safetensors "$threads threads, the same checkpoint"
done
good train --demo -o less --threads 2 --memory 2000000
same demo/checkpoint.safetensors less/checkpoint.safetensors 'one shard at a time, the same checkpoint'
bad 'holds a training' train --demo -o demo
bad 'the checkpoint has' train --resume demo --batch 32
bad 'cosine' train --resume demo --epochs 20
good train --resume demo
same demo/checkpoint.safetensors demo1/checkpoint.safetensors 'to resume what is done changes nothing'

# Images and labels as IDX files: 40 of 4 x 4, class 1 where the left half is bright.
python3 - <<'P' 2>/dev/null || { echo 'skipped: python3 is not there'; exit 77; }
import struct
images, labels = b"", b""
for i in range(40):
    left = i * 7 % 2
    images += bytes((200 if (x < 2) == bool(left) else 20) + (i * 13 + x * 5 + y * 3) % 30 for y in range(4) for x in range(4))
    labels += bytes([left])
open("images", "wb").write(struct.pack(">IIII", 0x803, 40, 4, 4) + images)
open("labels", "wb").write(struct.pack(">II", 0x801, 40) + labels)
open("short", "wb").write(struct.pack(">II", 0x801, 30) + labels[:30])
open("cut", "wb").write(struct.pack(">IIII", 0x803, 40, 4, 4) + images[:-1])
open("one", "wb").write(struct.pack(">II", 0x801, 40) + bytes(40))
open("many", "wb").write(struct.pack(">II", 0x801, 40) + bytes(range(40)))
open("nul", "wb").write(b"input 1x4x4\0")
P
printf 'input 1x4x4 scale=1/255\nconv 4 3x3 padding=1\nbatchnorm\nrelu\nflatten\ndropout 0.1\nlinear 2\ncross_entropy\n' >model
good train model --data images,labels --test images,labels -o new --batch 16 --epochs 4 --schedule constant
has 'accuracy 100.00' out 'two classes that a line parts are learnt'
good predict new images --top 1
[ "$(wc -l <out)" = 40 ] && result 1 || result 0 'predict prints a line for each image'
good predict new images --format json
python3 -c 'import json; [json.loads(line) for line in open("out")]' && result 1 || result 0 'predict --format json'
good evaluate new --data images,labels
has 'accuracy 100.00' out 'evaluate agrees'
good train --resume new --epochs 6
good train model --data images,labels --test images,labels -o six --batch 16 --epochs 6 --schedule constant
same new/checkpoint.safetensors six/checkpoint.safetensors '4 epochs and 2 more are 6'
rm -rf new
bad 'fingerprint' train --resume six --epochs 7 --data images,many

# Killed at any moment, and gone on.
big="--data images,labels -o"
long='--batch 8 --epochs 400 --every 3 --schedule step=100,0.5 --optimizer adamw --learning-rate 0.001 --augment flip,crop=1'
# shellcheck disable=SC2086
good train model $big whole $long --threads 1
n=0
while [ $n -lt "$kills" ]; do
    n=$((n + 1))
    rm -rf part
    # shellcheck disable=SC2086
    "$program" train model $big part $long --threads 2 >out 2>err &
    pid=$!
    sleep "0.$((n * 37 % 9))5"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    if [ -e part/checkpoint.safetensors ]; then
        good train --resume part --threads 3
    else # before the first file: there is nothing to go on from
        rm -rf part
        # shellcheck disable=SC2086
        good train model $big part $long
    fi
    same whole/checkpoint.safetensors part/checkpoint.safetensors "killed after 0.$((n * 37 % 9))5 s and resumed"
done
rm -rf part
# shellcheck disable=SC2086
"$program" train model $big part $long >out 2>err &
pid=$!
for wait in 1 2 3 4 5 6 7 8 9; do
    [ -e part/checkpoint.safetensors ] && break
    sleep 0.2
done
kill -TERM $pid 2>/dev/null
wait $pid
status=$?
[ $status = 143 ] || [ $status = 0 ] && result 1 || result 0 "SIGTERM: exit $status, must be 143"
good train --resume part
same whole/checkpoint.safetensors part/checkpoint.safetensors 'stopped by SIGTERM and resumed'
[ -z "$(find . -name '*.part' -o -name .lock | head -1)" ] && result 1 || result 0 'no half file and no lock is left'

# Bad input: one sentence, and no folder.
bad '-o is missing' train model --data images,labels
bad '--data is missing' train model -o new
bad 'nothere' train nothere --data images,labels -o new
bad 'NUL' train nul --data images,labels -o new
bad 'nothere' train model --data nothere,labels -o new
bad '30' train model --data images,short -o new
bad 'cut' train model --data cut,labels -o new
bad 'one class' train model --data images,one -o new
bad 'many' train model --data images,many -o new
bad 'labels' train model --data labels,labels -o new
bad '--batch' train model --data images,labels -o new --batch 0
bad '--batch' train model --data images,labels -o new --batch x
bad 'batch' train model --data images,labels -o new --batch 41
bad '--learning-rate' train model --data images,labels -o new --learning-rate 1e999
bad '--learning-rate' train model --data images,labels -o new --learning-rate nan
bad '--learning-rate' train model --data images,labels -o new --learning-rate -1
bad '--optimizer' train model --data images,labels -o new --optimizer adam
bad '--schedule' train model --data images,labels -o new --schedule linear
bad '--augment' train model --data images,labels -o new --augment turn
bad '--epochs' train model --data images,labels -o new --epochs 0
bad 'freeze' train model --data images,labels -o new --freeze 3-99
bad 'nothere' train model --data images,labels -o new --init nothere
bad 'is a file' train model --data images,labels -o model
bad 'nothere' train --resume nothere
bad '--demo' train --demo --resume demo
bad 'predict takes' predict demo
bad 'nothere' predict nothere images
bad 'images' predict demo images
bad 'damaged' predict images images
bad '--data is missing' evaluate demo
for text in 'input 1x4x4\nconv 4 9x9\ncross_entropy' 'input 1x4x4\nmaxpoll 2\ncross_entropy' 'conv 4 3x3\ncross_entropy' \
    'input 1x4x4\nflatten' 'input 1x4x4\nflatten\nlinear 2\nmse\nmse' '' 'input 1x4x4\nadd here\ncross_entropy'; do
    # shellcheck disable=SC2059
    printf "$text\n" >wrong
    bad 'line' train wrong --data images,labels -o new
done

echo "$passed checks passed, $failed failed"
[ $failed = 0 ]
