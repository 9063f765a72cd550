"""ike_setup.py VCHASSIS [TUNNELS [RUNS]] - what setting up a tunnel costs the responder.

One charon initiates TUNNELS tunnels (PSK, group 19, AES-GCM, one CHILD SA each, 64 under way) to a
chassis and, in the same run and alternately, to a second charon. The figure is the CPU time on a
processor of all processes of the responder (the whole node: hwd, daemons, cards) per tunnel, read
from /proc/PID/schedstat. Prints the bench row; the ratio is charon's cost over ours.
"""
import json
import os
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

vchassis = os.path.abspath(sys.argv[1])
tunnels = int(sys.argv[2]) if len(sys.argv) > 2 else 200
runs = int(sys.argv[3]) if len(sys.argv) > 3 else 3
WINDOW = 64
SECRET = 'a lab secret, not a real one'
work = tempfile.mkdtemp(prefix='vc-ike-')
os.environ.update(VCHASSIS_RUN_DIR=work + '/run', VCHASSIS_STATE_DIR=work + '/state')


class Vici:
    """charon's control protocol: length, type, name, sections."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(60)
        self.s.connect(path)

    @staticmethod
    def section(values):
        out = b''
        for key, value in values.items():
            k = key.encode()
            v = str(value).encode()
            out += bytes([3, len(k)]) + k + struct.pack('>H', len(v)) + v
        return out

    def send(self, command, values):
        name = command.encode()
        body = bytes([0, len(name)]) + name + self.section(values)
        self.s.sendall(struct.pack('>I', len(body)) + body)

    def receive(self):
        def exactly(n):
            got = b''
            while len(got) < n:
                piece = self.s.recv(n - len(got))
                if not piece:
                    raise EOFError('charon closed its control socket')
                got += piece
            return got
        return exactly(struct.unpack('>I', exactly(4))[0])

    def established(self):
        """How many IKE SAs there are, and how many of them are complete."""
        self.send('stats', {})
        answer = self.receive()
        answer = answer[answer.index(b'ikesas'):]

        def number(key):
            at = answer.index(b'\x03' + bytes([len(key)]) + key) + 2 + len(key)
            n = struct.unpack_from('>H', answer, at)[0]
            return int(answer[at + 2:at + 2 + n])
        total = number(b'total')
        return total, total - number(b'half-open')


def host(n):
    return f'{n // 250}.{n % 250 + 1}'


def lab():
    with open(work + '/ike.yaml', 'w') as f:
        f.write('lab: ike-load\noptions: {model-scale: 0}\nnodes:\n'
                '  left: {chassis: SRX5800, config: ike.conf, cards: {cb0: SCB3, cb1: SCB3, re0: RE3, 0: SPC3, 1: IOC3}}\n'
                'hosts:\n  load: {type: host, addresses: [10.100.255.253/16]}\n'
                '  ref: {type: host, addresses: [10.101.255.254/16]}\n'
                'links:\n  - {name: outside, ends: ["left:xe-1/0/1", load]}\n'
                '  - {name: other, ends: [load, ref]}\n')
    gateways = vpns = units = zones = ''
    for n in range(tunnels):
        gateways += (f'gateway g{n} {{ ike-policy p; address 10.100.{host(n)}; external-interface xe-1/0/1.0; '
                     'version v2-only; }\n')
        vpns += (f'vpn v{n} {{ bind-interface st0.{n}; ike {{ gateway g{n}; ipsec-policy p; }} '
                 'establish-tunnels responder-only; }\n')
        units += f'unit {n} {{ family inet; }}\n'
        zones += f'st0.{n};\n'
    with open(work + '/ike.conf', 'w') as f:
        f.write(f'''system {{ host-name left; }}
interfaces {{
xe-1/0/1 {{ unit 0 {{ family inet {{ address 10.100.255.254/16; }} }} }}
st0 {{ {units} }}
}}
security {{
ike {{
proposal p {{ authentication-method pre-shared-keys; dh-group group19; encryption-algorithm aes-256-gcm; }}
policy p {{ proposals p; pre-shared-key ascii-text "{SECRET}"; }}
{gateways} }}
ipsec {{
proposal p {{ protocol esp; encryption-algorithm aes-256-gcm; }}
policy p {{ proposals p; }}
{vpns} }}
zones {{
security-zone untrust {{ host-inbound-traffic {{ system-services {{ ike; }} }} interfaces {{ xe-1/0/1.0; }} }}
security-zone vpn {{ interfaces {{ {zones} }} }}
}}
}}
''')


def charon(host, connections, threads):
    d = f'{work}/{host}'
    os.makedirs(d)
    with open(d + '/strongswan.conf', 'w') as f:
        f.write(f'''charon {{
    load_modular = yes
    install_virtual_ip = no
    threads = {threads}
    dos_protection = no
    reuse_ikesa = no
    ikesa_table_size = 4096
    ikesa_table_segments = 32
    filelog {{ f {{ path = {d}/charon.log
        default = -1 }} }}
    syslog {{ daemon {{ default = -1 }}
        auth {{ default = -1 }} }}
    plugins {{
        include /etc/strongswan.d/charon/*.conf
        bypass-lan {{ load = no }}
        resolve {{ load = no }}
        stroke {{ load = no }}
        lookip {{ load = no }}
        error-notify {{ load = no }}
        kernel-libipsec {{ load = yes
            allow_peer_ts = yes }}
        vici {{ socket = unix://{d}/vici.sock }}
    }}
}}
charon-systemd {{ journal {{ default = -1 }} }}
swanctl {{ load = pem pkcs1 x509 pubkey openssl random }}
''')
    with open(d + '/swanctl.conf', 'w') as f:
        f.write('connections {\n' + connections + '}\nsecrets {\n  ike-1 {\n    secret = "' + SECRET + '"\n  }\n}\n')
    env = f'STRONGSWAN_CONF={d}/strongswan.conf'
    p = subprocess.Popen([vchassis, 'exec', '--lab', 'ike-load', '--no-terminal', host, '--', 'env', env, 'charon-systemd'],
                         stdin=subprocess.DEVNULL, stdout=open(d + '/out', 'w'), stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 20
    while not os.path.exists(d + '/vici.sock'):
        if time.monotonic() > deadline or p.poll() is not None:
            raise SystemExit(f'charon in {host} did not start: ' + open(d + '/out').read())
        select.select([], [], [], 0.05)
    run('exec', '--lab', 'ike-load', '--no-terminal', host, '--', 'env', env, f'SWANCTL_DIR={d}', 'swanctl', '--load-all',
        '--noprompt', '--uri', f'unix://{d}/vici.sock')
    return Vici(d + '/vici.sock'), p


def connection(name, local, remote, lts, rts):
    return f'''  {name} {{
    version = 2
    local_addrs = {local}
    remote_addrs = {remote}
    proposals = aes256gcm16-prfsha256-ecp256
    unique = never
    mobike = no
    rekey_time = 0
    local {{
      auth = psk
      id = {local if local != '%any' else '10.101.255.254'}
    }}
    remote {{
      auth = psk
      id = {remote if remote != '%any' else '%any'}
    }}
    children {{
      {name} {{
        local_ts = {lts}
        remote_ts = {rts}
        esp_proposals = aes256gcm16
        rekey_time = 0
      }}
    }}
  }}
'''


def run(*words):
    r = subprocess.run([vchassis, *words], capture_output=True, text=True)
    if r.returncode:
        raise SystemExit(f'vchassis {" ".join(words[:4])}: {r.stderr or r.stdout}')
    return r.stdout


def pids(part):
    if isinstance(part, dict):
        for key, value in part.items():
            if key == 'host-pid' and value > 0:
                yield value
            else:
                yield from pids(value)
    elif isinstance(part, list):
        for value in part:
            yield from pids(value)


def name_of(pid):
    return open(f'/proc/{pid}/comm').read().strip()


def cpu(processes):
    """Milliseconds on a processor, by process."""
    spent = {}
    for pid in processes:
        ns = (int(open(f'/proc/{pid}/task/{task}/schedstat').read().split()[0]) for task in os.listdir(f'/proc/{pid}/task'))
        spent[pid] = sum(ns) / 1e6
    return spent


def wait_for(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f'ike_setup.py: {what}')
        select.select([], [], [], 0.01)


def initiate(vici, names):
    """Start all, WINDOW at a time; the tunnels are there when this returns."""
    sent = 0
    last, seen = time.monotonic(), 0
    while True:
        done = vici.established()[1]
        if done != seen:
            last, seen = time.monotonic(), done
        if done >= len(names):
            return
        if time.monotonic() - last > 20:
            raise SystemExit(f'ike_setup.py: only {done} of {len(names)} tunnels came up')
        new = names[sent:sent + max(0, WINDOW - (sent - done))]
        for name in new:
            vici.send('initiate', {'child': name, 'timeout': -1, 'loglevel': -1})
        for _ in new:
            vici.receive()
        sent += len(new)
        if not new:
            select.select([], [], [], 0.002)


def terminate(vici, names):
    for name in names:
        vici.send('terminate', {'ike': name, 'timeout': -1, 'loglevel': -1})
        vici.receive()
    wait_for(lambda: vici.established()[0] == 0, 'the tunnels of the last round do not end')


def children():
    d = f'{work}/load'
    text = run('exec', '--lab', 'ike-load', '--no-terminal', 'load', '--', 'env', f'STRONGSWAN_CONF={d}/strongswan.conf',
               'swanctl', '--list-sas', '--uri', f'unix://{d}/vici.sock')
    return text.count('INSTALLED')


def main():
    lab()
    run('up', work + '/ike.yaml', '--detach')
    try:
        script = ''.join(f'ip addr add 10.100.{host(n)}/16 dev eth0; ip addr add 10.101.{host(n)}/16 dev eth1; '
                         f'ip addr add 172.16.{host(n)}/32 dev lo; ' for n in range(tunnels))
        run('exec', '--lab', 'ike-load', '--no-terminal', 'load', '--', 'sh', '-c', 'ip link set eth1 up; ' + script)
        script = ''.join(f'ip addr add 172.20.{host(n)}/32 dev lo; ' for n in range(tunnels))
        run('exec', '--lab', 'ike-load', '--no-terminal', 'ref', '--', 'sh', '-c', script)
        conns = ''.join(connection(f'o{n}', f'10.100.{host(n)}', '10.100.255.254',
                                   f'172.16.{host(n)}/32', f'172.20.{host(n)}/32') for n in range(tunnels))
        conns += ''.join(connection(f'r{n}', f'10.101.{host(n)}', '10.101.255.254',
                                    f'172.16.{host(n)}/32', f'172.20.{host(n)}/32') for n in range(tunnels))
        load, p1 = charon('load', conns, 16)
        ref, p2 = charon('ref', connection('any', '%any', '%any', '172.20.0.0/16', '172.16.0.0/12'), 16)
        state = json.loads(run('ps', '--lab', 'ike-load', '--json'))
        node = list(pids(state['nodes']))
        refs = [int(x) for x in subprocess.run(['pgrep', '-x', 'charon-systemd'], capture_output=True, text=True).stdout.split()
                if work + '/ref/' in open(f'/proc/{x}/environ').read()]
        ours, theirs, parts = [], [], {}
        for _ in range(runs):
            for names, who, into in (([f'o{n}' for n in range(tunnels)], node, ours),
                                     ([f'r{n}' for n in range(tunnels)], refs, theirs)):
                before = cpu(who)
                initiate(load, names)
                select.select([], [], [], 0.3)  # the last SAs go to their card
                after = cpu(who)
                into.append((sum(after.values()) - sum(before.values())) / tunnels)
                if children() != tunnels:
                    raise SystemExit(f'ike_setup.py: {children()} CHILD SAs instead of {tunnels}')
                if who is node:
                    for pid in after:
                        parts.setdefault(pid, []).append((after[pid] - before[pid]) / tunnels)
                terminate(load, names)
                select.select([], [], [], 0.5)
        v, y = statistics.median(ours), statistics.median(theirs)
        for pid, spent in parts.items():
            print(f'# {name_of(pid):10} {statistics.median(spent):.3f} ms a tunnel', file=sys.stderr)
        print(json.dumps({'name': 'ike-setup-psk19', 'value': round(v, 4), 'unit': 'CPU ms', 'yardstick': round(y, 4),
                          'ratio': round(y / v, 3), 'target': '>=2'}))
    finally:
        for p in (locals().get('p1'), locals().get('p2')):
            if p:
                p.send_signal(signal.SIGTERM)
        subprocess.run([vchassis, 'down', '--lab', 'ike-load'], capture_output=True)
        shutil.rmtree(work, ignore_errors=True)


signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
main()
