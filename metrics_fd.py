import sys,os,time,urllib.request
sys.path.insert(0,'tests/e2e/proxy')
from harness import *
p=Proxy(one_app())
cs=[Client() for _ in range(1500)]
time.sleep(.5)
print(p.descriptors())
try:
    print(urllib.request.urlopen("http://127.0.0.1:15020/healthz",timeout=3).read())
except Exception as e: print("FAILED",e)
print(p.read_log()[-500:])
p.stop()
