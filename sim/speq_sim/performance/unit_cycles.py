import dataclasses, functools
from speq.parameters import Parameters
def ceil(a,b): return -(-a//b)
AR=0
def unit_cycles(p, outputs, inputs, mode, tokens, plain=False, keep=False, latency=1):
    R,C,W,G,B=p.rows,p.columns,p.port_words,p.load_cycles,p.longest_burst
    packs=p.packs
    if not packs: plain=True
    NT=ceil(outputs,R); KG=ceil(inputs,p.group_inputs)
    S=0 if plain else KG*C//W
    H=0 if plain else ceil(R,W)
    T=KG*(p.group_tiles//p.weights_per_word(mode) if packs else 1)
    bt=p.beats_per_token(mode); Bc=tokens*bt
    P=max(G,Bc)
    rb=ceil(R*p.result_bits,16*W)
    A=0 if keep else tokens*KG*p.group_inputs//W
    step=NT*KG*G
    D=S+NT*H+step*(p.group_tiles if plain else 1)
    exact=mode=="verify" and not plain
    M=step if exact or mode=="middle" else 0
    L=2*step if exact else 0
    # first word
    first=0
    if exact: first=min(B,D)+min(B,L)
    elif mode=="middle": first=min(B,D)
    lead=max(S+H,first)   # words begin behind it
    wpath=C0+latency-1+lead+G
    apath=A0+A
    s0=max(wpath,apath)
    def exposed(h):
        return max(0,h-min(T,2)*(P-G))
    per=T*P+exposed(H)
    per=max(per,tokens*rb)
    slast=s0+(NT-1)*per+(T-1)*P
    end=slast+max(bt+tokens*rb,Bc+rb)+E0
    return end, dict(wpath=wpath,apath=apath,S=S,H=H,T=T,P=P,G=G,rb=rb,D=D,M=M,L=L,B=B,NT=NT)
C0=9;A0=4;E0=6
