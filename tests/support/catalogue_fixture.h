/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CATALOGUE_FIXTURE_H
#define TZ_CATALOGUE_FIXTURE_H

/* A small catalogue with every field type, merge class and area rule, for tests of the loader and of values. */

#include "catalogue.h"

struct catalogue_fixture_file {
    const char *name;
    const char *text;
};

static const struct catalogue_fixture_file catalogue_fixture[] = {
    {"catalogue.csv", "key,value\n"
                      "version,7\n"},
    {"enums.csv", "enum,code,label_zh,label_en,retired\n"
                  "colour,red,红色,bright red,no\n"
                  "colour,green,绿色（浅）,green,no\n"
                  "colour,old,旧色,old,yes\n"
                  "kind,place,地点,place,no\n"
                  "kind,thing,事物,thing,no\n"
                  "level,C,市级,city,no\n"
                  "level,D,区级,district,no\n"
                  "job_state,open,已立,open,no\n"
                  "job_state,busy,办理中,busy,no\n"
                  "job_state,done,已结,done,no\n"
                  "job_state,held,挂起,held,no\n"
                  "job_action,open,立,open,no\n"
                  "job_action,take,领,take,no\n"
                  "job_action,hold,挂,hold,no\n"
                  "job_action,go_on,续,go on,no\n"
                  "job_action,end,结,end,no\n"
                  "job_action,again,再立,again,no\n"},
    {"types.csv",
     "id,type,label_zh,label_en,tier,area_rule,area_field,append,auto_merge,server_only,create,delete,title_field\n"
     "1,place,地点,place,0,city,,no,no,no,C,C,code\n"
     "2,thing,事物,thing,1,own,,no,yes,no,FD,D,name\n"
     "5,mark,标记,mark,1,parent,thing_id,yes,no,no,F,,thing_id\n"
     "6,job,任务,job,1,own,,no,no,no,FD,,title\n"
     "7,job_step,办理,job step,1,parent,job_id,yes,no,no,,,action\n"},
    {"fields.csv",
     "type,id,field,label_zh,label_en,ftype,any_type_field,required,enum,editors,offline,merge,group,visibility,"
     "on_target_delete,default,aliases,source_items\n"
     "place,1,code,代码,code,code6,,yes,,C,no,field,,open,,,代号,1 23\n"
     "place,2,name,名称,name,str10,,no,,C,no,field,,open,,,,\n"
     "place,4,parent,上级,parent place,ref(place),,no,,C,no,field,,open,ignores,,,\n"
     "thing,1,name,名称,name,str10,,yes,,FD,yes,field,,open,,,企业名称|单位名称,\n"
     "thing,2,district_code,所属区,district,code6,,yes,,D,no,field,,open,,,区,\n"
     "thing,3,members,人数,members,int20,,no,,FD,yes,field,counts,open,,,,\n"
     "thing,4,counted_on,截至日期,counted on,date,,no,,FD,yes,field,counts,open,,,,\n"
     "thing,5,colour,颜色,colour,enum,,verify,colour,D,no,field,,open,,red,,\n"
     "thing,6,colours,各种颜色,colours,set,,no,colour,D,no,set,,open,,,,\n"
     "thing,7,others,其他事物,others,refs(thing),,no,,D,no,set,,open,ignores,,,\n"
     "thing,8,price,价格,price,money,,no,,D,no,field,,open,,,,\n"
     "thing,9,share,比例,share,dec1,,no,,D,no,field,,masked,,,,\n"
     "thing,10,made_at,时间,made at,instant,,no,,S,no,field,,open,,,,\n"
     "thing,11,note,说明,note,text,,no,,D,no,field,,open,,,,\n"
     "thing,12,owner,姓名,owner,secret,,no,,D,no,field,,secret,,,,\n"
     "thing,13,digest,摘要,digest,digest,,no,,S,no,field,,secret,,,,\n"
     "thing,14,body,内容,body,json,,no,,D,no,field,,open,,,,\n"
     "thing,15,target_type,对象类型,target type,enum,,no,kind,D,no,field,,open,,,,\n"
     "thing,16,target_id,对象,target,ref(any),target_type,no,,D,no,field,,open,blocks,,,\n"
     "thing,17,works,可用,works,bool,,no,,D,no,field,,open,,,,\n"
     "thing,18,total,总数,total,int,,no,,D,no,field,,open,,,,\n"
     "mark,1,thing_id,事物,thing,ref(thing),,yes,,F,yes,append,,open,revives,,,\n"
     "mark,2,note,说明,note,text,,no,,F,yes,append,,open,,,,\n"
     "job,1,title,任务,title,str20,,yes,,FD,yes,events,,open,,,,\n"
     "job,2,district_code,所属区,district,code6,,yes,,D,no,events,,open,,,,\n"
     "job,3,state,状态,state,enum,,yes,job_state,S,no,events,,open,,open,,\n"
     "job,4,level,层级,level,enum,,yes,level,S,no,events,,open,,,,\n"
     "job,5,due_on,时限,due on,date,,no,,D,no,events,,open,,,,\n"
     "job,6,held_on,挂起日期,held on,date,,no,,S,no,events,,open,,,,\n"
     "job,7,times,次数,times,int,,no,,S,no,events,,open,,,,\n"
     "job,8,above,上级,above,ref(job),,no,,D,no,events,,open,blocks,,,\n"
     "job,9,again_of,原任务,again of,ref(job),,no,,S,no,events,,open,ignores,,,\n"
     "job,10,weight,程度,weight,enum,,no,kind,D,no,events,,open,,place,,\n"
     "job,11,number,编号,number,str20,,yes,,S,no,events,,open,,,,\n"
     "job_step,1,job_id,任务,job,ref(job),,yes,,S,no,append,,open,revives,,,\n"
     "job_step,2,action,动作,action,enum,,yes,job_action,S,no,append,,open,,,,\n"
     "job_step,3,from_state,原状态,from,enum,,no,job_state,S,no,append,,open,,,,\n"
     "job_step,4,to_state,新状态,to,enum,,no,job_state,S,no,append,,open,,,,\n"
     "job_step,5,seq,序号,seq,int,,yes,,S,no,append,,open,,,,\n"
     "job_step,6,opinion,意见,opinion,text,,no,,FD,yes,append,,open,,,,\n"
     "job_step,7,evidence,佐证,evidence,json,,no,,FD,yes,append,,open,,,,\n"},
    {"groups.csv", "type,group,as_of_field\n"
                   "thing,counts,counted_on\n"},
    {"keys.csv", "type,key,fields,when\n"
                 "place,code,code,\n"
                 "thing,name,name district_code,\n"},
    {"roles.csv", "role,label_zh,label_en,editor,level,reads_business,reads_secret,supervises\n"
                  "F_ONE,督查员,inspector,F,district,yes,no,no\n"
                  "D_TWO,主管,supervisor,D,street,yes,yes,yes\n"
                  "LOOK,领导,leader,,city,no,no,no\n"},
    {"transitions.csv",
     "type,from,action,to,who,gives,guards,evidence,effects,note\n"
     "job,-,open,open,F_ONE|D_TWO,,open:above order:held_on:due_on,no,level=level number=number:J,\n"
     "job,open,take,busy,F_ONE,,,no,,\n"
     "job,busy|open,hold,held,D_TWO:level,due_on!,opinion until:due_on later:due_on,no,held_on=today times+1,\n"
     "job,held,go_on,<hold,D_TWO:level,,,no,due_on+days:held_on held_on=null,\n"
     "job,busy,end,done,D_TWO,,not:take children:above pending:hold settled:hold fewer:hold:job.most,weight,,\n"
     "job,done,again,+,F_ONE,again_of,,no,,\n"},
    {"rows/place.csv", "code,name,parent\n"
                       "120000,天津市,\n"
                       "120101,和平区,120000\n"},
};

enum { CATALOGUE_FIXTURE_FILES = sizeof catalogue_fixture / sizeof *catalogue_fixture };

/** Load it with file @which replaced by @text (@which < 0: as it is). */
static inline int catalogue_fixture_load(int which, struct tz_bytes text, struct tz_catalogue *out, struct tz_err *err)
{
    struct tz_catalogue_file files[CATALOGUE_FIXTURE_FILES];
    for (int i = 0; i < (int)CATALOGUE_FIXTURE_FILES; i++) {
        files[i].name = catalogue_fixture[i].name;
        files[i].text = i == which ? text : tz_bytes_str(catalogue_fixture[i].text);
    }
    return tz_catalogue_load(files, CATALOGUE_FIXTURE_FILES, out, err);
}

#endif
