from .vectors import *
EXP_f=(0.5, 0.1666666716337204, 0.04166635498404503, 0.008333273231983185, 0.0013941103825345635, 0.00019914291624445468)
LARGEST={}
def exp(x):
    lo,hi=-104.5,89.0
    x=select(x>hi,hi,select(x<lo,lo,x))
    t=x.fma(1.4426950408889634,12582912.0)
    k=t-12582912.0
    r=k.fma(-0.693359375,x); r=k.fma(2.12194440e-4,r)
    p=polynomial(r,EXP_f)
    p=(r*r).fma(p,r)+1
    i=t.bits()-0x4B400000
    i1=i>>1; i2=i-i1
    return p*((i1+127)<<23).real()*((i2+127)<<23).real()
FUNCTIONS={("exp","float"):exp}
