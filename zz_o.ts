import { randomCase, writeFolder } from "./tests/support/repodata_channel.ts";
import { seededRng } from "./core/env.ts";
import { solveEnvironment } from "./package/solver.ts";
const n=Number(Deno.args[0]), from=Number(Deno.args[1]??0);
const d=await Deno.makeTempDir();
const cases=[];
for(let i=from;i<from+n;i++){ const c=randomCase(seededRng(i)); const folders=[]; for(const [j,ch] of c.channels.entries()){ const f=`${d}/${i}/${j}`; folders.push(f); for(const s of ["linux-64","noarch"] as const) await writeFolder(`${f}/${s}`,ch[s]); } cases.push({...c,channels:folders,platform:"linux-64"}); }
const p=new Deno.Command("/tmp/venvs/pkg/bin/python",{args:["tests/package/solve_oracle.py"],stdin:"piped",stdout:"piped",env:{HOME:d,XDG_CACHE_HOME:d,RATTLER_CACHE_DIR:d}}).spawn();
const w=p.stdin.getWriter(); await w.write(new TextEncoder().encode(JSON.stringify(cases))); await w.close();
const out=new TextDecoder().decode((await p.output()).stdout).trim().split("\n").map(l=>JSON.parse(l));
let ok=0,refused=0,bad=0;
for(const [i,c] of cases.entries()){ let mine; try { const r=await solveEnvironment({...c,platform:"linux-64",virtual:c.virtual.map(([name,version,build]:any)=>({name,version,build})),pinned:new Map(),cache:d+"/cache"} as any); mine={files:r.map(x=>x.url.split("/").slice(-3).join("/")).sort()}; } catch(e){ mine={refused:(e as Error).message}; if(i<40)console.log(c.specs.join("; "),"##",(e as Error).message.split("\n\n")[0]); }
 const his=out[i]; 
 if (JSON.stringify(mine.files)===JSON.stringify(his.files)) { his.files?ok++:refused++; } else { bad++; console.log("DIFF",i+from,c.specs,c.priority,c.channels.length,"\nmine",mine,"\nhis",his); } }
console.log({ok,refused,bad});
await Deno.remove(d,{recursive:true});
