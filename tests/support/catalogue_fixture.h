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
                  "kind,thing,事物,thing,no\n"},
    {"types.csv",
     "id,type,label_zh,label_en,tier,area_rule,area_field,append,auto_merge,server_only,create,delete,title_field\n"
     "1,place,地点,place,0,city,,no,no,no,C,C,code\n"
     "2,thing,事物,thing,1,own,,no,yes,no,FD,D,name\n"
     "5,mark,标记,mark,1,parent,thing_id,yes,no,no,F,,thing_id\n"},
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
     "mark,2,note,说明,note,text,,no,,F,yes,append,,open,,,,\n"},
    {"groups.csv", "type,group,as_of_field\n"
                   "thing,counts,counted_on\n"},
    {"keys.csv", "type,key,fields,when\n"
                 "place,code,code,\n"
                 "thing,name,name district_code,\n"},
    {"roles.csv", "role,label_zh,label_en,editor,level,reads_business,reads_secret,supervises\n"
                  "F_ONE,督查员,inspector,F,district,yes,no,no\n"
                  "D_TWO,主管,supervisor,D,street,yes,yes,yes\n"
                  "LOOK,领导,leader,,city,no,no,no\n"},
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
